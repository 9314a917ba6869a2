/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "ext/url.h"
#include "flow/batch.h"
#include "fzconn/error.h"
#include "wire/ingest_token.h"

/* Files or names looked at in one step. */
#define STEP 32
/* Reports of a request, bytes: the portal takes 10,000,000. */
#define BODY_MAX 8000000
#define INGEST_PATH "/ingestion/flow_logs"

#define OFF_US FZ_SEC(30) /* between looks for a configuration */
#define BACKLOG_US FZ_SEC(1)
#define RETRY_FIRST_US FZ_MS(500)
#define RETRY_MOST_US FZ_SEC(60)
#define RETRY_BUDGET_US FZ_SEC(300)
#define RETRY_AFTER_MOST_S 3600 /* nobody means more */
#define REDIRECTS_MAX 5
/* A folder without a token may be one that is being made. */
#define YOUNG_S 60

enum state {
	WAITING, /* for the next pass */
	BEGINNING,
	FOLDERS, /* looking for the next authorization */
	LISTING, /* its reports */
	LOADING, /* the oldest of them */
	READY, /* request to be polled */
	ASKED, /* answer to come */
	PAUSED, /* the same request again, later */
	DELETING, /* what was taken */
	EMPTYING /* a folder that is over */
};

struct flow_upload {
	const struct fz_env *env;
	struct flow_spool *spool;
	const struct flow_tracker *tracker;
	bool plain;
	enum state state;
	uint64_t now_us; /* of the last run */
	uint64_t wake_us; /* WAITING, PAUSED */

	/* The pass. */
	struct flow_upload_config config;
	bool is_initiator, backlog;
	struct fz_dir *folders, *folder;
	size_t seen, deleted; /* reports */
	size_t emptied; /* files of a folder that is over */
	unsigned redirects;
	char *url;
	uint64_t retry_us, retry_spent_us;

	/* The authorization. */
	char id[FZ_UUID_STRLEN];
	char token[FLOW_TOKEN_LEN];
	struct flow_batch batch;
	size_t loaded, from, to, end; /* request: items [from, to) of [0, end) */
	char *request;
};

#define call(u, fn, ...) ((u)->spool->platform->ops->fn((u)->spool->platform->ctx, __VA_ARGS__))

static const char *path_of(const struct flow_upload *u, const char *name, char buf[FLOW_PATH_LEN])
{
	return flow_spool_path(u->spool, u->is_initiator, u->id, name, buf);
}

static void close_dir(struct flow_upload *u, struct fz_dir **d)
{
	if (*d)
		call(u, dir_close, *d);
	*d = NULL;
}

static void forget_batch(struct flow_upload *u)
{
	u->loaded = u->from = u->to = u->end = 0;
	flow_batch_reset(&u->batch, u->config.batch);
	fz_free(u->env, u->request);
	u->request = NULL;
	fz_wipe(u->token, sizeof(u->token));
}

static void end_pass(struct flow_upload *u, uint64_t wait_us, uint64_t now_us)
{
	close_dir(u, &u->folder);
	close_dir(u, &u->folders);
	forget_batch(u);
	u->state = WAITING;
	u->wake_us = now_us + wait_us;
}

/* ---- the pass ---- */

static bool is_allowed(const struct flow_upload *u, const char *url)
{
	struct url_facts f;

	return url_look(url, &f) == 0 && !f.has_user && (f.is_https || (u->plain && f.is_http));
}

static void begin_pass(struct flow_upload *u, uint64_t now_us)
{
	int err = flow_spool_config(u->spool, &u->config);

	if (err == 0) {
		fz_free(u->env, u->url);
		u->url = NULL;
		err = url_join(u->env, u->config.api_url, INGEST_PATH, &u->url);
	}
	if (err == 0 && !is_allowed(u, u->url))
		err = FZ_ERR_INVAL;
	if (err != 0) {
		if (err != FZ_ERR_NOT_FOUND)
			fz_warn(u->env, "flow", "flow logs cannot be uploaded: %s", fz_strerror(err));
		end_pass(u, OFF_US, now_us);
		return;
	}
	u->backlog = false;
	u->seen = u->deleted = 0;
	u->redirects = 0;
	u->is_initiator = true;
	u->state = FOLDERS;
}

/* Both roles are done. */
static void finish_pass(struct flow_upload *u, uint64_t now_us)
{
	u->spool->reports = u->seen - u->deleted;
	end_pass(u, u->backlog ? BACKLOG_US : FZ_SEC(u->config.interval_s), now_us);
}

/* What is in a folder: its token, or nothing. True: go into it. */
static bool enter(struct flow_upload *u, uint64_t changed_s, uint64_t unix_s)
{
	char path[FLOW_PATH_LEN];
	struct ingest_token t;
	int len = call(u, file_read, path_of(u, "token", path), u->token, sizeof(u->token) - 1);

	if (len == FZ_ERR_NOT_FOUND) {
		u->state = changed_s + YOUNG_S < unix_s ? EMPTYING : FOLDERS;
		return u->state == EMPTYING;
	}
	if (len < 0)
		return false;
	while (len > 0 && strchr("\r\n \t", u->token[len - 1]))
		len--;
	u->token[len] = '\0';
	if (ingest_token_check(u->env, u->token, &t) != 0)
		return false;
	u->state = t.expires_at <= unix_s ? EMPTYING : LISTING;
	return true;
}

static void next_folder(struct flow_upload *u, uint64_t now_us, uint64_t unix_s)
{
	char path[FLOW_PATH_LEN], name[FZ_NAME_LEN];
	struct fz_uuid uuid;
	uint64_t changed_s;

	forget_batch(u);
	if (u->folders == NULL &&
	    call(u, dir_open, flow_spool_path(u->spool, u->is_initiator, NULL, NULL, path), &u->folders,
		 &changed_s) != 0)
		u->folders = NULL;
	while (u->folders && call(u, dir_next, u->folders, name)) {
		if (fz_uuid_parse(name, &uuid) != 0)
			continue;
		memcpy(u->id, name, sizeof(u->id));
		if (call(u, dir_open, path_of(u, NULL, path), &u->folder, &changed_s) != 0)
			continue;
		if (enter(u, changed_s, unix_s))
			return;
		close_dir(u, &u->folder);
		return; /* that was work enough for one turn of the loop */
	}
	close_dir(u, &u->folders);
	if (u->is_initiator)
		u->is_initiator = false;
	else
		finish_pass(u, now_us);
}

/* ---- the list of reports ---- */

static void list_done(struct flow_upload *u)
{
	char path[FLOW_PATH_LEN];

	close_dir(u, &u->folder);
	flow_batch_sort(&u->batch);
	u->backlog |= u->batch.is_cut;
	u->state = LOADING;
	if (u->batch.len > 0)
		return;
	u->state = FOLDERS;
	if (u->batch.is_cut || (u->tracker && flow_tracker_uses(u->tracker, u->id)))
		return;
	/* Nothing more will come: the token goes, and then the folder. */
	(void)call(u, file_remove, path_of(u, "token", path));
	(void)call(u, file_remove, path_of(u, NULL, path));
}

static void list_one(struct flow_upload *u)
{
	char name[FZ_NAME_LEN], path[FLOW_PATH_LEN];
	struct flow_report_name n;
	size_t len;

	if (!call(u, dir_next, u->folder, name)) {
		list_done(u);
		return;
	}
	len = strlen(name);
	if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
		(void)call(u, file_remove, path_of(u, name, path)); /* of a process that was killed */
	if (!flow_report_name_parse(name, &n))
		return;
	u->seen++;
	flow_batch_add(&u->batch, u->env, &n);
}

/* ---- the batch ---- */

static void remove_report(struct flow_upload *u, const struct flow_report_name *n)
{
	char name[FLOW_REPORT_NAME_LEN], path[FLOW_PATH_LEN];

	if (call(u, file_remove, path_of(u, flow_report_name_format(n, name), path)) == 0)
		u->deleted++;
}

static void load_done(struct flow_upload *u)
{
	u->from = 0;
	u->to = u->end;
	u->retry_us = RETRY_FIRST_US;
	u->retry_spent_us = 0;
	u->state = u->end > 0 ? READY : FOLDERS;
}

static void load_one(struct flow_upload *u)
{
	char name[FLOW_REPORT_NAME_LEN], path[FLOW_PATH_LEN], file[FLOW_REPORT_MAX], *text = NULL;
	struct flow_batch_item it;
	size_t len = 0;
	int got, err;

	if (u->loaded == u->batch.len) {
		load_done(u);
		return;
	}
	it = u->batch.items[u->loaded++];
	got = call(u, file_read, path_of(u, flow_report_name_format(&it.name, name), path), file,
		   sizeof(file));
	err = got == FZ_ERR_NOSPACE ? FZ_ERR_WIRE : got;
	if (got >= 0)
		err = flow_report_decode(u->env, file, (size_t)got, &text, &len);
	if (err == FZ_ERR_WIRE) {
		u->spool->stats->corrupt++;
		remove_report(u, &it.name);
	}
	if (err == 0 && u->batch.texts_len + len > BODY_MAX) {
		u->backlog = true;
		u->loaded = u->batch.len;
	} else if (err == 0 && flow_batch_load(&u->batch, u->env, &it, text, len) == 0) {
		u->batch.items[u->end++] = it;
	}
	fz_free(u->env, text);
}

static void delete_one(struct flow_upload *u)
{
	struct flow_report_name n;

	if (u->from == u->to) {
		u->to = u->end;
		u->state = u->from < u->end ? READY : FOLDERS;
		return;
	}
	n = u->batch.items[u->from].name;
	remove_report(u, &n);
	if (u->batch.items[u->from].has_start) {
		n.is_end = false;
		remove_report(u, &n);
	}
	u->from++;
}

/* ---- a folder that is over ---- */

static void empty_one(struct flow_upload *u)
{
	char name[FZ_NAME_LEN], path[FLOW_PATH_LEN];
	uint64_t changed_s;

	if (call(u, dir_next, u->folder, name)) {
		u->emptied += call(u, file_remove, path_of(u, name, path)) == 0;
		return;
	}
	close_dir(u, &u->folder);
	u->state = FOLDERS;
	/* A list that changes while it is read may leave out some. */
	if (call(u, file_remove, path_of(u, NULL, path)) == FZ_ERR_STATE && u->emptied > 0 &&
	    call(u, dir_open, path, &u->folder, &changed_s) == 0)
		u->state = EMPTYING;
	u->emptied = 0;
}

/* ---- requests ---- */

static void pause_for(struct flow_upload *u, uint64_t us, uint64_t now_us)
{
	u->state = PAUSED;
	u->wake_us = now_us + us;
}

bool flow_upload_poll_request(struct flow_upload *u, struct flow_request *ret)
{
	size_t len = 0;

	if (u->state != READY)
		return false;
	fz_free(u->env, u->request);
	u->request = flow_batch_body(&u->batch, u->env, u->from, u->to, &len);
	if (u->request == NULL) {
		pause_for(u, BACKLOG_US, u->now_us);
		return false;
	}
	*ret = (struct flow_request){ .url = u->url, .token = u->token, .body = u->request, .len = len };
	u->state = ASKED;
	return true;
}

enum flow_verdict flow_upload_classify(int status)
{
	if (status >= 200 && status < 300)
		return FLOW_TAKEN;
	switch (status) {
	case 413:
		return FLOW_TOO_LARGE;
	case 429:
		return FLOW_TOO_FAST;
	case 301:
	case 302:
	case 307:
	case 308:
		return FLOW_ELSEWHERE;
	case 408:
		return FLOW_AGAIN;
	default:
		return status >= 500 && status < 600 ? FLOW_AGAIN : FLOW_KEEP;
	}
}

/* The server or the way to it is in trouble: so it is for the other authorizations. */
static void try_again(struct flow_upload *u, uint64_t now_us)
{
	uint64_t wait = u->retry_us + fz_rng_u64(u->env) % (u->retry_us / 2);

	if (u->retry_spent_us + wait > RETRY_BUDGET_US) {
		end_pass(u, FZ_SEC(u->config.interval_s), now_us);
		return;
	}
	u->retry_spent_us += wait;
	u->retry_us = fz_min_us(u->retry_us + u->retry_us / 2, RETRY_MOST_US);
	pause_for(u, wait, now_us);
}

/* The address is good for the rest of the pass. The token goes there too: never without TLS where there was
 * some, never to a strange port. */
static bool follow(struct flow_upload *u, const char *location)
{
	struct url_facts f;
	char *url;

	if (location == NULL || *location == '\0' || u->redirects++ >= REDIRECTS_MAX ||
	    url_join(u->env, u->url, location, &url) != 0)
		return false;
	if (!is_allowed(u, url) || url_look(url, &f) != 0 || (f.is_https && f.port != 443)) {
		fz_free(u->env, url);
		return false;
	}
	fz_free(u->env, u->url);
	u->url = url;
	return true;
}

static void refused(struct flow_upload *u, int status)
{
	fz_info(u->env, "flow", "the portal does not take flow reports now: status %d; they are kept",
		status);
	u->state = FOLDERS;
}

void flow_upload_handle_answer(struct flow_upload *u, const struct flow_answer *a, uint64_t now_us)
{
	enum flow_verdict v = a->err ? FLOW_AGAIN : flow_upload_classify(a->status);
	uint64_t after_s = a->retry_after_s ? a->retry_after_s : 1;

	if (u->state != ASKED)
		return;
	if (v != FLOW_TAKEN)
		u->spool->stats->upload_errors++;
	switch (v) {
	case FLOW_TAKEN:
		u->spool->stats->uploaded += u->to - u->from;
		u->state = DELETING;
		break;
	case FLOW_TOO_LARGE:
		u->state = READY;
		if (u->to - u->from > 1) {
			u->to = u->from + (u->to - u->from) / 2;
		} else {
			u->from = u->to; /* it stays where it is */
			u->to = u->end;
			u->state = u->from < u->end ? READY : FOLDERS;
		}
		break;
	case FLOW_TOO_FAST:
		pause_for(u, FZ_SEC(after_s < RETRY_AFTER_MOST_S ? after_s : RETRY_AFTER_MOST_S), now_us);
		break;
	case FLOW_ELSEWHERE:
		if (follow(u, a->location))
			u->state = READY;
		else
			refused(u, a->status);
		break;
	case FLOW_AGAIN:
		try_again(u, now_us);
		break;
	case FLOW_KEEP:
		refused(u, a->status);
		break;
	}
}

/* ---- steps ---- */

void flow_upload_run(struct flow_upload *u, uint64_t now_us, uint64_t unix_s)
{
	u->now_us = now_us;
	for (unsigned i = 0; i < STEP; i++) {
		switch (u->state) {
		case WAITING:
			if (u->wake_us > now_us)
				return;
			u->state = BEGINNING;
			break;
		case BEGINNING:
			begin_pass(u, now_us);
			break;
		case FOLDERS:
			next_folder(u, now_us, unix_s);
			break;
		case LISTING:
			list_one(u);
			break;
		case LOADING:
			load_one(u);
			break;
		case PAUSED:
			if (u->wake_us > now_us)
				return;
			u->state = READY;
			return;
		case DELETING:
			delete_one(u);
			break;
		case EMPTYING:
			empty_one(u);
			break;
		case READY:
		case ASKED:
			return;
		}
	}
}

uint64_t flow_upload_next_timeout(const struct flow_upload *u)
{
	switch (u->state) {
	case WAITING:
	case PAUSED:
		return u->wake_us;
	case ASKED:
		return FZ_NEVER_US;
	default:
		return 0;
	}
}

void flow_upload_wake(struct flow_upload *u, uint64_t now_us)
{
	if (u->state == WAITING)
		u->wake_us = fz_min_us(u->wake_us, now_us);
}

void flow_upload_set_tracker(struct flow_upload *u, const struct flow_tracker *t)
{
	u->tracker = t;
}

int flow_upload_new(const struct fz_env *env, struct flow_spool *spool, bool plain, uint64_t now_us,
		    struct flow_upload **ret)
{
	struct flow_upload *u = fz_zalloc(env, sizeof(*u));

	if (u == NULL)
		return FZ_ERR_NOMEM;
	u->env = env;
	u->spool = spool;
	u->plain = plain;
	u->state = WAITING;
	u->wake_us = now_us;
	*ret = u;
	return 0;
}

void flow_upload_free(struct flow_upload *u)
{
	if (u == NULL)
		return;
	end_pass(u, 0, 0);
	flow_batch_clear(&u->batch, u->env);
	fz_free(u->env, u->url);
	fz_free(u->env, u);
}
