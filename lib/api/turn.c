/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/nat.h"

#include "base/mem.h"
#include "base/opts.h"
#include "proto/turn_alloc.h"

_Static_assert(sizeof(struct fz_turn_opts) == offsetof(struct fz_turn_opts, server6) + sizeof(struct fz_addr),
	       "no padding at the end");
_Static_assert(sizeof(struct fz_turn_stats) == offsetof(struct fz_turn_stats, refused) + sizeof(uint64_t),
	       "no padding at the end");
_Static_assert(FZ_NAT_TRANSMIT_MAX >= TURN_TRANSMIT_MAX && FZ_TURN_HEADER_LEN == TURN_CHANNEL_HEADER_LEN,
	       "as the protocol has it");
_Static_assert((int)FZ_TURN_REASON_PROTOCOL == (int)TURN_REASON_PROTOCOL &&
		       (int)FZ_TURN_REASON_UNAUTHORISED == (int)TURN_REASON_UNAUTHORISED &&
		       (int)FZ_TURN_REASON_NO_ANSWER == (int)TURN_REASON_NO_ANSWER,
	       "reasons are handed on as they are");

struct fz_turn {
	const struct fz_env *env;
	struct turn_alloc *alloc;
};

int fz_turn_new(const struct fz_env *env, const struct fz_turn_opts *opts, struct fz_turn **ret,
		uint64_t now_us)
{
	struct fz_turn_opts o;
	struct turn_alloc_opts inner;
	struct fz_turn *t;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	inner = (struct turn_alloc_opts){ .username = o.username,
					  .password = o.password,
					  .realm = o.realm,
					  .software = o.software,
					  .server4 = o.server4,
					  .server6 = o.server6 };
	t = fz_zalloc(env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->env = env;
	err = turn_alloc_new(env, &inner, now_us, &t->alloc);
	if (err) {
		fz_free(env, t);
		return err;
	}
	*ret = t;
	return 0;
}

void fz_turn_free(struct fz_turn *t)
{
	if (t == NULL)
		return;
	turn_alloc_free(t->alloc);
	fz_free(t->env, t);
}

void fz_turn_close(struct fz_turn *t, uint64_t now_us)
{
	turn_alloc_close(t->alloc, now_us);
}

void fz_turn_restart(struct fz_turn *t, uint64_t now_us)
{
	turn_alloc_restart(t->alloc, now_us);
}

void fz_turn_refresh(struct fz_turn *t, uint64_t now_us)
{
	turn_alloc_refresh(t->alloc, now_us);
}

int fz_turn_handle_datagram(struct fz_turn *t, const struct fz_addr *local, const struct fz_addr *from,
			    const void *data, size_t len, struct fz_turn_data *ret, uint64_t now_us)
{
	struct fz_turn_data got = { .data = (const uint8_t *)data + TURN_CHANNEL_HEADER_LEN };
	int n;

	if (!turn_channel_looks_like(data, len))
		return turn_alloc_handle_datagram(t->alloc, local, from, data, len, now_us);
	n = turn_alloc_unwrap(t->alloc, from, data, len, &got.peer, &got.relayed, now_us);
	if (n < 0)
		return n;
	got.len = (size_t)n;
	*ret = got;
	return FZ_TURN_DATA;
}

int fz_turn_bind(struct fz_turn *t, const struct fz_addr *peer, uint64_t now_us)
{
	return turn_alloc_bind(t->alloc, peer, now_us);
}

int fz_turn_wrap(struct fz_turn *t, const struct fz_addr *peer, size_t len,
		 uint8_t header[FZ_TURN_HEADER_LEN], struct fz_addr *ret_to, uint64_t now_us)
{
	const struct fz_addr *server;
	uint16_t number;

	if (len > UINT16_MAX)
		return FZ_ERR_INVAL;
	number = turn_alloc_channel(t->alloc, peer, now_us);
	server = turn_alloc_server(t->alloc);
	if (number == 0 || server == NULL)
		return FZ_ERR_STATE;
	turn_channel_encode(header, number, (uint16_t)len);
	turn_alloc_note_sent(t->alloc, now_us);
	*ret_to = *server;
	return 0;
}

void fz_turn_handle_timeout(struct fz_turn *t, uint64_t now_us)
{
	turn_alloc_handle_timeout(t->alloc, now_us);
}

uint64_t fz_turn_next_timeout(const struct fz_turn *t)
{
	return turn_alloc_next_timeout(t->alloc);
}

int fz_turn_poll_transmit(struct fz_turn *t, void *buf, size_t cap, struct fz_addr *ret_to, uint64_t now_us)
{
	return turn_alloc_poll_transmit(t->alloc, buf, cap, ret_to, now_us);
}

bool fz_turn_poll_event(struct fz_turn *t, struct fz_turn_event *ret)
{
	static const enum fz_turn_event_type types[] = {
		[TURN_MAPPED] = FZ_TURN_MAPPED,
		[TURN_RELAYED] = FZ_TURN_RELAYED,
		[TURN_RELAYED_LOST] = FZ_TURN_RELAYED_LOST,
		[TURN_REFUSED] = FZ_TURN_REFUSED,
		[TURN_FAILED] = FZ_TURN_FAILED,
	};
	struct turn_event ev;

	if (!turn_alloc_poll_event(t->alloc, &ev))
		return false;
	*ret = (struct fz_turn_event){ .type = types[ev.type],
				       .reason = (enum fz_turn_reason)ev.reason,
				       .code = ev.code,
				       .local = ev.local,
				       .mapped = ev.mapped,
				       .relayed = ev.relayed };
	return true;
}

bool fz_turn_relayed(const struct fz_turn *t, enum fz_family family, struct fz_addr *ret)
{
	return turn_alloc_relayed(t->alloc, family, ret);
}

bool fz_turn_server(const struct fz_turn *t, struct fz_addr *ret)
{
	const struct fz_addr *server = turn_alloc_server(t->alloc);

	if (server == NULL)
		return false;
	*ret = *server;
	return true;
}

uint64_t fz_turn_rtt_us(const struct fz_turn *t)
{
	return turn_alloc_rtt_us(t->alloc);
}

void fz_turn_stats(const struct fz_turn *t, struct fz_turn_stats *ret)
{
	const struct turn_stats *s = turn_alloc_stats(t->alloc);

	*ret = (struct fz_turn_stats){ .requests = s->requests,
				       .repeats = s->repeats,
				       .allocations = s->allocations,
				       .data = s->channel_rx,
				       .malformed = s->not_stun + s->bad_wire,
				       .bad_auth = s->bad_auth + s->unsigned_answer,
				       .unexpected = s->unknown_txn + s->bad_answer + s->channel_unknown,
				       .refused = s->channel_refused + s->channel_full };
}
