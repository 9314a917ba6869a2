/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define CANDIDATE_WAIT_US FZ_SEC(10)
#define IDLE_AFTER_US FZ_SEC(20)
#define PROACTIVE_GAP_US FZ_SEC(20)

static int copy_cred(char dst[CONN_CRED_MAX], const char *src)
{
	size_t n = src ? strlen(src) : 0;

	if (n >= CONN_CRED_MAX)
		return FZ_ERR_INVAL;
	memcpy(dst, src ? src : "", n);
	dst[n] = '\0';
	return 0;
}

static int open_tunnel(struct conn *c, struct wg_self *self, uint64_t now_us)
{
	struct wg_peer_opts opts = {
		.public_key = c->peer_key,
		.psk = c->psk,
		.index24 = c->ref,
		.timing = c->iceless ? &wg_timing_iceless : &wg_timing_ice,
	};
	int err = wg_peer_new(c->env, self, &opts, now_us, &c->wg);

	fz_wipe(&opts, sizeof(opts));
	return err;
}

static int open_path(struct conn *c, const struct conn_params *p, uint64_t now_us)
{
	struct path_opts opts = {
		.kind = c->iceless ? PATH_ICELESS : PATH_ICE,
		.controlling = c->controlling,
		.local_ufrag = c->local_ufrag,
		.local_pwd = c->local_pwd,
		.remote_ufrag = c->remote_ufrag,
		.remote_pwd = c->remote_pwd,
		.profile = p->profile,
		.idle_profile = p->idle_profile,
		.tag = c->ref,
	};

	return path_new(c->env, &opts, &c->path, now_us);
}

int conn_new(const struct fz_env *env, struct wg_self *self, const struct conn_params *p, uint32_t ref,
	     uint64_t now_us, struct conn **ret)
{
	struct conn *c = fz_zalloc(env, sizeof(*c));
	int err;

	if (c == NULL)
		return FZ_ERR_NOMEM;
	c->env = env;
	c->ref = ref;
	c->id = p->id;
	c->peer_key = p->peer_key;
	c->psk = p->psk;
	c->controlling = p->controlling;
	c->iceless = p->iceless;
	c->candidate_deadline_us = now_us + CANDIDATE_WAIT_US;
	err = copy_cred(c->local_ufrag, p->local_ufrag);
	if (err == 0)
		err = copy_cred(c->local_pwd, p->local_pwd);
	if (err == 0)
		err = copy_cred(c->remote_ufrag, p->remote_ufrag);
	if (err == 0)
		err = copy_cred(c->remote_pwd, p->remote_pwd);
	if (err == 0)
		err = open_tunnel(c, self, now_us);
	if (err == 0)
		err = open_path(c, p, now_us);
	/* Without ICE the handshake itself finds the first path. */
	if (err == 0 && c->iceless && c->controlling)
		wg_peer_initiate(c->wg, now_us);
	if (err != 0) {
		conn_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void conn_free(struct conn *c)
{
	const struct fz_env *env;

	if (c == NULL)
		return;
	env = c->env;
	for (size_t i = 0; i < c->signals_len; i++)
		fz_free(env, c->signals[i].text);
	path_free(c->path);
	wg_peer_free(c->wg);
	fz_wipe(c, sizeof(*c));
	fz_free(env, c);
}

bool conn_matches(const struct conn *c, const struct conn_params *p)
{
	if (c->iceless != p->iceless || c->controlling != p->controlling ||
	    !fz_secret_eq(&c->peer_key, &p->peer_key, sizeof(c->peer_key)) ||
	    !fz_secret_eq(&c->psk, &p->psk, sizeof(c->psk)))
		return false;
	return c->iceless ||
	       (strcmp(c->local_ufrag, p->local_ufrag) == 0 && strcmp(c->local_pwd, p->local_pwd) == 0 &&
		strcmp(c->remote_ufrag, p->remote_ufrag) == 0 && strcmp(c->remote_pwd, p->remote_pwd) == 0);
}

static void signal_text(struct conn *c, const struct cand *cand, bool gone)
{
	char text[CAND_TEXT_MAX];
	char *copy;

	if (path_cand_text(c->path, cand, gone, text, sizeof(text)) < 0)
		return;
	for (size_t i = 0; i < c->signals_len; i++)
		if (c->signals[i].gone == gone && strcmp(c->signals[i].text, text) == 0)
			return;
	if (c->signals_len == CONN_SIGNALS_MAX || (copy = fz_strdup(c->env, text)) == NULL) {
		fz_warn(c->env, "conn", "peer %u: a candidate could not be signalled", c->ref);
		return;
	}
	c->signals[c->signals_len++] = (struct conn_signal){ gone, copy };
}

void conn_fail(struct conn *c, const char *why)
{
	c->state = CONN_FAILED;
	c->failure = why;
}

void conn_add_local(struct conn *c, const struct cand *cand, bool again, uint64_t now_us)
{
	bool fresh = path_add_local(c->path, cand, now_us);

	c->has_locals = true;
	if (fresh || again)
		signal_text(c, cand, false);
}

void conn_remove_local(struct conn *c, const struct cand *cand, uint64_t now_us)
{
	char text[CAND_TEXT_MAX];
	bool known = path_cand_text(c->path, cand, true, text, sizeof(text)) > 0;
	char *copy;

	/* The text must be made before the agent forgets the candidate. */
	if (!path_remove_local(c->path, cand, now_us) || !known)
		return;
	if (c->signals_len == CONN_SIGNALS_MAX || (copy = fz_strdup(c->env, text)) == NULL) {
		fz_warn(c->env, "conn", "peer %u: an invalidation could not be signalled", c->ref);
		return;
	}
	c->signals[c->signals_len++] = (struct conn_signal){ true, copy };
}

static int compare_texts(const void *a, const void *b)
{
	return cand_text_compare(*(const char *const *)a, *(const char *const *)b);
}

size_t conn_take_signals(struct conn *c, bool gone, const char *texts[CONN_SIGNALS_MAX])
{
	size_t n = 0, left = 0;

	for (size_t i = 0; i < c->signals_len; i++) {
		if (c->signals[i].gone == gone)
			texts[n++] = c->signals[i].text;
		else
			c->signals[left++] = c->signals[i];
	}
	c->signals_len = left;
	qsort(texts, n, sizeof(*texts), compare_texts);
	return n;
}

void conn_note_activity(struct conn *c, uint64_t now_us)
{
	c->last_activity_us = now_us;
	if (c->state != CONN_IDLE)
		return;
	c->state = CONN_CONNECTED;
	path_set_idle(c->path, false, now_us);
}

void conn_want_handshake(struct conn *c, uint64_t now_us)
{
	if (wg_peer_handshake_in_flight(c->wg))
		return;
	if (c->last_proactive_us != 0 && now_us < c->last_proactive_us + PROACTIVE_GAP_US)
		return;
	c->last_proactive_us = now_us;
	wg_peer_initiate(c->wg, now_us);
}

void conn_renewed(struct conn *c, uint64_t now_us)
{
	conn_note_activity(c, now_us);
	/* Without ICE probes alone say whether the path works. */
	if (c->controlling && !c->iceless && c->state != CONN_CONNECTING)
		conn_want_handshake(c, now_us);
}

void conn_roam(struct conn *c, uint64_t now_us)
{
	path_rebuild(c->path, now_us);
	c->relay = NULL;
	c->has_locals = false;
}

void conn_handle_timeout(struct conn *c, uint64_t now_us)
{
	wg_peer_handle_timeout(c->wg, now_us);
	path_handle_timeout(c->path, now_us);
	if (c->candidate_deadline_us <= now_us && c->state != CONN_FAILED)
		conn_fail(c, "the peer announced no address");
	if (c->state == CONN_CONNECTED && c->last_activity_us + IDLE_AFTER_US <= now_us &&
	    path_settled(c->path)) {
		c->state = CONN_IDLE;
		path_set_idle(c->path, true, now_us);
	}
}

uint64_t conn_next_timeout(const struct conn *c)
{
	uint64_t at = fz_min_us(wg_peer_next_timeout(c->wg), path_next_timeout(c->path));

	at = fz_min_us(at, c->candidate_deadline_us);
	if (c->state == CONN_CONNECTED && path_settled(c->path))
		at = fz_min_us(at, c->last_activity_us + IDLE_AFTER_US);
	return at;
}

const char *conn_path_kind(const struct conn *c)
{
	if (c->state == CONN_CONNECTING)
		return "none";
	if (c->route.local_relayed)
		return c->route.remote_relayed ? "relayed, both relays" : "relayed, our relay";
	return c->route.remote_relayed ? "relayed, their relay" : "direct";
}
