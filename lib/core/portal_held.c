/* SPDX-License-Identifier: Apache-2.0 */
#include "core/portal_held.h"

#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

static void clear_kind(struct portal_held_peer *p, const struct fz_env *env, enum portal_candidates_kind kind)
{
	for (size_t i = 0; i < p->len[kind]; i++)
		fz_free(env, p->texts[kind][i]);
	p->len[kind] = 0;
}

static void free_peer(struct portal_held_peer *p, const struct fz_env *env)
{
	clear_kind(p, env, PORTAL_CANDIDATES_ADD);
	clear_kind(p, env, PORTAL_CANDIDATES_INVALIDATE);
	fz_free(env, p);
}

void portal_held_clear(struct portal_held *h, const struct fz_env *env)
{
	for (size_t i = 0; i < h->len; i++)
		free_peer(h->peers[i], env);
	fz_free(env, h->peers);
	*h = (struct portal_held){ 0 };
}

bool portal_held_is_empty(const struct portal_held *h)
{
	return h->len == 0;
}

static size_t find_peer(const struct portal_held *h, enum portal_peer peer, const struct fz_uuid *id)
{
	size_t i = 0;

	while (i < h->len && (h->peers[i]->peer != peer || !fz_uuid_equal(&h->peers[i]->id, id)))
		i++;
	return i;
}

static void remove_peer(struct portal_held *h, const struct fz_env *env, size_t at)
{
	free_peer(h->peers[at], env);
	h->len--;
	memmove(&h->peers[at], &h->peers[at + 1], (h->len - at) * sizeof(*h->peers));
}

static int need_peer(struct portal_held *h, const struct fz_env *env, enum portal_peer peer,
		     const struct fz_uuid *id, struct portal_held_peer **ret)
{
	size_t at = find_peer(h, peer, id);
	int err;

	if (at == h->len) {
		err = fz_grow(env, &h->peers, &h->cap, h->len, sizeof(*h->peers), PORTAL_HELD_PEERS_MAX);
		if (err)
			return err;
		h->peers[at] = fz_zalloc(env, sizeof(*h->peers[at]));
		if (h->peers[at] == NULL)
			return FZ_ERR_NOMEM;
		h->peers[at]->peer = peer;
		h->peers[at]->id = *id;
		h->len++;
	}
	*ret = h->peers[at];
	return 0;
}

/* True = the text was there. */
static bool drop_text(struct portal_held_peer *p, const struct fz_env *env, enum portal_candidates_kind kind,
		      const char *text)
{
	for (size_t i = 0; i < p->len[kind]; i++) {
		char **at = &p->texts[kind][i];
		if (strcmp(*at, text) != 0)
			continue;
		fz_free(env, *at);
		p->len[kind]--;
		memmove(at, at + 1, (p->len[kind] - i) * sizeof(*at));
		return true;
	}
	return false;
}

static bool has_text(const struct portal_held_peer *p, enum portal_candidates_kind kind, const char *text)
{
	for (size_t i = 0; i < p->len[kind]; i++)
		if (strcmp(p->texts[kind][i], text) == 0)
			return true;
	return false;
}

static int put_text(struct portal_held_peer *p, const struct fz_env *env, enum portal_candidates_kind kind,
		    const char *text)
{
	enum portal_candidates_kind other =
		kind == PORTAL_CANDIDATES_ADD ? PORTAL_CANDIDATES_INVALIDATE : PORTAL_CANDIDATES_ADD;
	bool cancelled = drop_text(p, env, other, text);

	if (has_text(p, kind, text) || (cancelled && kind == PORTAL_CANDIDATES_INVALIDATE))
		return 0;
	if (p->len[kind] == PORTAL_CANDIDATES_MAX)
		return FZ_ERR_FULL;
	char *copy = fz_strdup(env, text);
	if (copy == NULL)
		return FZ_ERR_NOMEM;
	p->texts[kind][p->len[kind]++] = copy;
	return 0;
}

int portal_held_put(struct portal_held *h, const struct fz_env *env, enum portal_candidates_kind kind,
		    enum portal_peer peer, const struct fz_uuid *id, const char *const *texts, size_t n)
{
	struct portal_held_peer *p;
	int err = need_peer(h, env, peer, id, &p);

	if (err)
		return err;
	for (size_t i = 0; err == 0 && i < n; i++)
		err = put_text(p, env, kind, texts[i]);
	if (p->len[0] + p->len[1] == 0)
		remove_peer(h, env, find_peer(h, peer, id));
	return err;
}

void portal_held_forget(struct portal_held *h, const struct fz_env *env, enum portal_peer peer,
			const struct fz_uuid *id)
{
	size_t at = find_peer(h, peer, id);

	if (at < h->len)
		remove_peer(h, env, at);
}

struct portal_held_peer *portal_held_peek(const struct portal_held *h, enum portal_candidates_kind *ret_kind)
{
	for (int kind = PORTAL_CANDIDATES_ADD; kind <= PORTAL_CANDIDATES_INVALIDATE; kind++)
		for (size_t i = 0; i < h->len; i++)
			if (h->peers[i]->len[kind]) {
				*ret_kind = (enum portal_candidates_kind)kind;
				return h->peers[i];
			}
	return NULL;
}

void portal_held_drop(struct portal_held *h, const struct fz_env *env, struct portal_held_peer *p,
		      enum portal_candidates_kind kind)
{
	clear_kind(p, env, kind);
	if (p->len[0] + p->len[1] == 0)
		remove_peer(h, env, find_peer(h, p->peer, &p->id));
}
