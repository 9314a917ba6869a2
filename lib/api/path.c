/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/nat.h"

#include "base/opts.h"
#include "proto/path.h"

_Static_assert(sizeof(struct fz_path_opts) == offsetof(struct fz_path_opts, reserved) + sizeof(uint32_t),
	       "no padding at the end");
_Static_assert(sizeof(struct fz_path_stats) == offsetof(struct fz_path_stats, full) + sizeof(uint64_t),
	       "no padding at the end");
_Static_assert(FZ_NAT_TRANSMIT_MAX >= PATH_TRANSMIT_MAX && FZ_PATH_TEXT_MAX == CAND_TEXT_MAX, "enough room");
_Static_assert((int)FZ_PATH_CLIENT == (int)PATH_CLIENT_DEFAULT &&
		       (int)FZ_PATH_CLIENT_IDLE == (int)PATH_CLIENT_IDLE &&
		       (int)FZ_PATH_SERVER == (int)PATH_SERVER_DEFAULT &&
		       (int)FZ_PATH_SERVER_IDLE == (int)PATH_SERVER_IDLE,
	       "profiles are handed on as they are");
_Static_assert((int)FZ_PATH_ICE == (int)PATH_ICE && (int)FZ_PATH_ICELESS == (int)PATH_ICELESS &&
		       (int)FZ_PATH_DATAGRAM == (int)PATH_TX_DATAGRAM &&
		       (int)FZ_PATH_PACKET == (int)PATH_TX_PACKET,
	       "and modes");
_Static_assert((int)FZ_PATH_HOST == (int)CAND_HOST && (int)FZ_PATH_PRFLX == (int)CAND_PRFLX &&
		       (int)FZ_PATH_SRFLX == (int)CAND_SRFLX && (int)FZ_PATH_RELAY == (int)CAND_RELAY,
	       "and kinds");
_Static_assert((int)FZ_PATH_SELECTED == (int)PATH_SELECTED &&
		       (int)FZ_PATH_WANT_HANDSHAKE == (int)PATH_WANT_HANDSHAKE &&
		       (int)FZ_PATH_DOUBTED == (int)PATH_DOUBTED && (int)FZ_PATH_FAILED == (int)PATH_FAILED,
	       "and events");
_Static_assert((int)FZ_PATH_REASON_FIRST == (int)PATH_REASON_FIRST &&
		       (int)FZ_PATH_REASON_BETTER == (int)PATH_REASON_BETTER &&
		       (int)FZ_PATH_REASON_LOST == (int)PATH_REASON_LOST &&
		       (int)FZ_PATH_REASON_NO_CANDIDATES == (int)PATH_REASON_NO_CANDIDATES &&
		       (int)FZ_PATH_REASON_NO_ANSWER == (int)PATH_REASON_NO_ANSWER,
	       "and reasons");

/* The handle is the agent itself; the struct is never defined. */
static struct path *path_of(struct fz_path *p)
{
	return (struct path *)(void *)p;
}

static const struct path *path_of_const(const struct fz_path *p)
{
	return (const struct path *)(const void *)p;
}

int fz_path_new(const struct fz_env *env, const struct fz_path_opts *opts, struct fz_path **ret,
		uint64_t now_us)
{
	struct fz_path_opts o;
	struct path *path;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	if (o.profile > FZ_PATH_SERVER_IDLE || o.idle_profile > FZ_PATH_SERVER_IDLE || o.controlling > 1 ||
	    o.mode > FZ_PATH_ICELESS || o.reserved != 0)
		return FZ_ERR_INVAL;
	const struct path_opts inner = { .kind = (enum path_kind)o.mode,
					 .controlling = o.controlling == 1,
					 .local_ufrag = o.local_ufrag,
					 .local_pwd = o.local_pwd,
					 .remote_ufrag = o.remote_ufrag,
					 .remote_pwd = o.remote_pwd,
					 .profile = (enum path_profile)o.profile,
					 .idle_profile = (enum path_profile)o.idle_profile,
					 .tag = o.tag };
	err = path_new(env, &inner, &path, now_us);
	if (err)
		return err;
	*ret = (struct fz_path *)(void *)path;
	return 0;
}

void fz_path_free(struct fz_path *p)
{
	path_free(path_of(p));
}

static struct cand inner_cand(const struct fz_path_cand *c)
{
	return (struct cand){ .kind = (enum cand_kind)c->kind, .addr = c->addr, .base = c->base };
}

static bool is_kind(const struct fz_path_cand *c)
{
	return (unsigned)c->kind < CAND_KINDS;
}

int fz_path_add_local(struct fz_path *p, const struct fz_path_cand *cand, char ret_text[FZ_PATH_TEXT_MAX],
		      uint64_t now_us)
{
	const struct cand c = inner_cand(cand);

	return is_kind(cand) && path_add_local(path_of(p), &c, now_us) &&
	       path_cand_text(path_of(p), &c, false, ret_text, FZ_PATH_TEXT_MAX) > 0;
}

int fz_path_remove_local(struct fz_path *p, const struct fz_path_cand *cand, char ret_text[FZ_PATH_TEXT_MAX],
			 uint64_t now_us)
{
	const struct cand c = inner_cand(cand);

	return is_kind(cand) && path_remove_local(path_of(p), &c, now_us) &&
	       path_cand_text(path_of(p), &c, true, ret_text, FZ_PATH_TEXT_MAX) > 0;
}

int fz_path_add_remote(struct fz_path *p, const char *text, struct fz_path_cand *ret, uint64_t now_us)
{
	struct cand c;
	int err = path_add_remote(path_of(p), text, &c, now_us);

	if (err == 0)
		*ret = (struct fz_path_cand){ .kind = (enum fz_path_kind)c.kind,
					      .addr = c.addr,
					      .base = c.base };
	return err;
}

int fz_path_remove_remote(struct fz_path *p, const char *text, uint64_t now_us)
{
	return path_remove_remote(path_of(p), text, now_us);
}

int fz_path_handle_datagram(struct fz_path *p, const struct fz_addr *local, uint32_t local_relayed,
			    const struct fz_addr *from, const void *data, size_t len, uint64_t now_us)
{
	const struct path_route arrival = { .local = *local,
					    .remote = *from,
					    .local_relayed = local_relayed != 0 };
	struct path_stun_key key;

	/* Payload may look like anything but a check. */
	if (path_stun_peek(data, len, &key) != 0)
		return FZ_ERR_NOT_MINE;
	return path_handle_datagram(path_of(p), &arrival, data, len, now_us);
}

int fz_path_peek(const void *data, size_t len, const char **ret_username, size_t *ret_len, uint32_t *ret_tag)
{
	struct path_stun_key key;
	int err = path_stun_peek(data, len, &key);

	if (err)
		return err;
	*ret_username = key.username;
	*ret_len = key.username_len;
	*ret_tag = key.tag;
	return 0;
}

void fz_path_note_bound(struct fz_path *p, const struct fz_addr *local, const struct fz_addr *remote,
			uint64_t now_us)
{
	const struct path_route route = { .local = *local, .remote = *remote, .local_relayed = true };

	path_route_ready(path_of(p), &route, now_us);
}

void fz_path_handle_timeout(struct fz_path *p, uint64_t now_us)
{
	path_handle_timeout(path_of(p), now_us);
}

uint64_t fz_path_next_timeout(const struct fz_path *p)
{
	return path_next_timeout(path_of_const(p));
}

static struct fz_path_route outer_route(const struct path_route *r)
{
	return (struct fz_path_route){ .local = r->local,
				       .remote = r->remote,
				       .local_relayed = r->local_relayed,
				       .remote_relayed = r->remote_relayed };
}

int fz_path_poll_transmit(struct fz_path *p, void *buf, size_t cap, enum fz_path_transmit *ret_kind,
			  struct fz_path_route *ret, uint64_t now_us)
{
	enum path_transmit_kind kind;
	struct path_route route;
	int n = path_poll_transmit(path_of(p), buf, cap, &kind, &route, now_us);

	if (n > 0)
		*ret = outer_route(&route);
	if (n > 0 && ret_kind)
		*ret_kind = (enum fz_path_transmit)kind;
	return n;
}

bool fz_path_poll_event(struct fz_path *p, struct fz_path_event *ret)
{
	struct path_event ev;

	if (!path_poll_event(path_of(p), &ev))
		return false;
	*ret = (struct fz_path_event){ .type = (enum fz_path_event_type)ev.type,
				       .reason = (enum fz_path_reason)ev.reason,
				       .route = outer_route(&ev.route) };
	return true;
}

bool fz_path_selected(const struct fz_path *p, struct fz_path_route *ret)
{
	const struct path_route *route = path_selected(path_of_const(p));

	if (route != NULL)
		*ret = outer_route(route);
	return route != NULL;
}

void fz_path_set_idle(struct fz_path *p, uint32_t idle, uint64_t now_us)
{
	path_set_idle(path_of(p), idle != 0, now_us);
}

void fz_path_rebuild(struct fz_path *p, uint64_t now_us)
{
	path_rebuild(path_of(p), now_us);
}

static struct path_route inner_route(const struct fz_path_route *r)
{
	return (struct path_route){ .local = r->local,
				    .remote = r->remote,
				    .local_relayed = r->local_relayed != 0 };
}

bool fz_path_filter_handshake(struct fz_path *p, const struct fz_path_route *arrival, const void *data,
			      size_t len, uint64_t now_us)
{
	const struct path_route r = inner_route(arrival);

	return path_filter_handshake(path_of(p), &r, data, len, now_us);
}

void fz_path_handshake_done(struct fz_path *p, const struct fz_path_route *arrival, const void *data,
			    size_t len, const void *response, size_t response_len, uint64_t now_us)
{
	const struct path_route r = inner_route(arrival);
	struct path_route back;

	(void)path_handshake_done(path_of(p), &r, data, len, true, response, response ? response_len : 0,
				  &back, now_us);
}

bool fz_path_send_handshake(struct fz_path *p, const void *data, size_t len, uint64_t now_us)
{
	return path_send_handshake(path_of(p), data, len, now_us);
}

void fz_path_handle_data(struct fz_path *p, const struct fz_path_route *arrival, uint64_t now_us)
{
	const struct path_route r = inner_route(arrival);

	path_handle_data(path_of(p), &r, now_us);
}

bool fz_path_handle_packet(struct fz_path *p, const struct fz_path_route *arrival, const void *packet,
			   size_t len, uint64_t now_us)
{
	const struct path_route r = inner_route(arrival);

	return path_handle_packet(path_of(p), &r, packet, len, now_us);
}

void fz_path_stats(const struct fz_path *p, struct fz_path_stats *ret)
{
	struct path_stats st;

	path_get_stats(path_of_const(p), &st);
	*ret = (struct fz_path_stats){ .pairs = st.pairs,
				       .pairs_working = st.pairs_working,
				       .rtt_us = st.rtt_us,
				       .checks_sent = st.checks_sent,
				       .checks_answered = st.checks_answered,
				       .dropped_auth = st.bad_auth,
				       .dropped_local = st.bad_local,
				       .dropped_answer = st.bad_answer,
				       .dropped_request = st.bad_request,
				       .full = st.full };
}
