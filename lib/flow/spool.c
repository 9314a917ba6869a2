/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fzconn/error.h"

/* One line for the first loss and for each of these many. */
#define LOSSES_PER_LINE 1000

/* A function of the platform. */
#define call(s, fn, ...) ((s)->platform->ops->fn((s)->platform->ctx, __VA_ARGS__))

int flow_spool_init(struct flow_spool *s, const struct fz_env *env, const struct fz_platform *platform,
		    const char *root, struct flow_stats *stats)
{
	if (root[0] != '/' || strlen(root) >= sizeof(s->root))
		return FZ_ERR_INVAL;
	*s = (struct flow_spool){ .env = env, .platform = platform, .stats = stats };
	strcpy(s->root, root);
	return 0;
}

const char *flow_spool_path(const struct flow_spool *s, bool is_initiator, const char *id, const char *name,
			    char buf[FLOW_PATH_LEN])
{
	snprintf(buf, FLOW_PATH_LEN, "%s/%s%s%s%s%s", s->root, is_initiator ? "initiator" : "responder",
		 id ? "/" : "", id ? id : "", name ? "/" : "", name ? name : "");
	return buf;
}

/* ---- reports ---- */

static void lose(struct flow_spool *s, int err)
{
	if (s->stats->lost++ % LOSSES_PER_LINE == 0)
		fz_warn(s->env, "flow", "%" PRIu64 " flow reports lost: %s", s->stats->lost,
			err == FZ_ERR_FULL ? "no room" : fz_strerror(err));
}

static int store_token(struct flow_spool *s, struct flow_auth *a)
{
	char path[FLOW_PATH_LEN];
	int err = call(s, dir_make, flow_spool_path(s, a->is_initiator, a->id, NULL, path));

	if (err == 0)
		err = call(s, file_write, flow_spool_path(s, a->is_initiator, a->id, "token", path), a->token,
			   strlen(a->token));
	a->is_stored = err == 0;
	return err;
}

static int write_report(struct flow_spool *s, const struct flow_report *r, const char *text, size_t len)
{
	struct flow_report_name n;
	char path[FLOW_PATH_LEN], name[FLOW_REPORT_NAME_LEN];
	int err = 0;

	flow_report_name_of(&r->record, &n);
	flow_report_name_format(&n, name);
	flow_spool_path(s, r->auth->is_initiator, r->auth->id, name, path);
	if (r->auth->is_stored)
		err = call(s, file_write, path, text, len);
	/* The folder was tidied away meanwhile. */
	if (!r->auth->is_stored || err == FZ_ERR_NOT_FOUND) {
		err = store_token(s, r->auth);
		if (err == 0)
			err = call(s, file_write, path, text, len);
	}
	if (err != 0)
		return err;
	s->reports++;
	if (!r->had_start)
		return 0;
	/* The end says all that the beginning said. */
	n.is_end = false;
	flow_report_name_format(&n, name);
	if (call(s, file_remove, flow_spool_path(s, r->auth->is_initiator, r->auth->id, name, path)) == 0 &&
	    s->reports > 0)
		s->reports--;
	return 0;
}

void flow_spool_put(struct flow_spool *s, const struct flow_report *r)
{
	struct jv *record;
	char *text = NULL;
	size_t len;
	int err = FZ_ERR_NOMEM;

	if (s->reports >= FLOW_SPOOL_MAX) {
		lose(s, FZ_ERR_FULL);
		return;
	}
	record = flow_record_json(&r->record);
	if (record)
		text = flow_report_encode(s->env, record, &len);
	if (text)
		err = write_report(s, r, text, len);
	fz_free(s->env, text);
	jv_free(record);
	if (err == 0)
		s->stats->spooled++;
	else
		lose(s, err);
}

/* ---- configuration ---- */

static void config_path(const struct flow_spool *s, char buf[FLOW_PATH_LEN])
{
	snprintf(buf, FLOW_PATH_LEN, "%s/upload.json", s->root);
}

static char *config_text(struct flow_spool *s, const struct flow_upload_config *c, size_t *ret_len)
{
	struct jv *v = jv_object();
	char *text = NULL;

	if (v && jv_set_str(v, "api_url", c->api_url) && jv_set_u64(v, "interval", c->interval_s) &&
	    jv_set_u64(v, "batch_size", c->batch))
		text = jv_dump(s->env, v, ret_len);
	jv_free(v);
	return text;
}

void flow_spool_set_config(struct flow_spool *s, const struct flow_upload_config *c)
{
	char path[FLOW_PATH_LEN], *text;
	size_t len;
	int err;

	config_path(s, path);
	if (c->interval_s == 0) {
		(void)call(s, file_remove, path);
		return;
	}
	text = config_text(s, c, &len);
	err = text ? call(s, dir_make, s->root) : FZ_ERR_NOMEM;
	if (err == 0)
		err = call(s, file_write, path, text, len);
	if (err != 0)
		fz_warn(s->env, "flow", "flow logs cannot be kept: %s", fz_strerror(err));
	fz_free(s->env, text);
}

static int read_config(const struct jv *v, struct flow_upload_config *ret)
{
	struct flow_upload_config c = { .batch = FLOW_BATCH_DEFAULT };
	const char *url = jv_str(jv_get(v, "api_url"));
	const struct jv *batch = jv_get(v, "batch_size");

	if (url == NULL || strlen(url) >= sizeof(c.api_url) || !jv_u64(jv_get(v, "interval"), &c.interval_s))
		return FZ_ERR_WIRE;
	if (batch && !jv_u64(batch, &c.batch))
		return FZ_ERR_WIRE;
	strcpy(c.api_url, url);
	if (c.interval_s == 0)
		return FZ_ERR_NOT_FOUND;
	if (c.batch == 0)
		c.batch = FLOW_BATCH_DEFAULT;
	if (c.batch > FLOW_BATCH_MAX)
		c.batch = FLOW_BATCH_MAX;
	*ret = c;
	return 0;
}

int flow_spool_config(struct flow_spool *s, struct flow_upload_config *ret)
{
	char path[FLOW_PATH_LEN], text[FLOW_URL_LEN + 256];
	struct jv *v;
	int len, err;

	config_path(s, path);
	len = call(s, file_read, path, text, sizeof(text));
	if (len < 0)
		return len == FZ_ERR_NOSPACE ? FZ_ERR_WIRE : len;
	if (jv_parse(text, (size_t)len, &v) != JV_OK)
		return FZ_ERR_WIRE;
	err = read_config(v, ret);
	jv_free(v);
	return err;
}
