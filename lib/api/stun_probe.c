/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/nat.h"

#include <string.h>

#include "base/mem.h"
#include "base/opts.h"
#include "proto/stun_txn.h"

#define SOFTWARE_MAX 128

_Static_assert(sizeof(struct fz_stun_probe_opts) ==
		       offsetof(struct fz_stun_probe_opts, max_sends) + sizeof(uint32_t),
	       "no padding at the end");
_Static_assert(FZ_NAT_TRANSMIT_MAX >= STUN_MSG_MAX, "enough for every message");

struct fz_stun_probe {
	const struct fz_env *env;
	struct fz_addr server;
	char software[SOFTWARE_MAX + 1];
	struct stun_schedule schedule;
	struct stun_txn txn;
	struct fz_stun_probe_event event;
	bool has_event;
};

int fz_stun_probe_new(const struct fz_env *env, const struct fz_stun_probe_opts *opts,
		      const struct fz_addr *server, struct fz_stun_probe **ret, uint64_t now_us)
{
	struct fz_stun_probe_opts o = { 0 };
	struct fz_stun_probe *p;
	int err = opts ? fz_opts_import(&o, sizeof(o), opts, opts->size) : 0;

	if (err)
		return err;
	if (!fz_addr_set(server) || server->port == 0 || o.rto_ms > 60000 || o.max_sends > 16 ||
	    (o.software && strlen(o.software) > SOFTWARE_MAX))
		return FZ_ERR_INVAL;
	p = fz_zalloc(env, sizeof(*p));
	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->server = *server;
	if (o.software)
		memcpy(p->software, o.software, strlen(o.software));
	p->schedule = stun_schedule_rfc;
	if (o.rto_ms) {
		p->schedule.rto_us = FZ_MS(o.rto_ms);
		p->schedule.last_wait_us = 16 * p->schedule.rto_us; /* Rm of RFC 8489 section 6.2.1 */
	}
	if (o.max_sends)
		p->schedule.max_sends = o.max_sends;
	stun_txn_start(&p->txn, env, &p->schedule, now_us);
	*ret = p;
	return 0;
}

void fz_stun_probe_free(struct fz_stun_probe *p)
{
	if (p)
		fz_free(p->env, p);
}

static void finish(struct fz_stun_probe *p, enum fz_stun_probe_event_type type)
{
	stun_txn_stop(&p->txn);
	p->event.type = type;
	p->has_event = true;
}

int fz_stun_probe_handle_datagram(struct fz_stun_probe *p, const struct fz_addr *from, const void *data,
				  size_t len, uint64_t now_us)
{
	struct stun_msg m;

	if (!fz_addr_equal(from, &p->server))
		return FZ_ERR_NOT_MINE;
	if (stun_decode(data, len, &m) != 0)
		return FZ_ERR_WIRE;
	if (m.method != STUN_BINDING || (m.cls != STUN_SUCCESS && m.cls != STUN_ERROR) ||
	    !stun_txn_matches(&p->txn, &m.txid))
		return FZ_ERR_NOT_MINE;
	if (m.cls == STUN_SUCCESS ? !fz_addr_set(&m.mapped) : m.error_code == 0)
		return FZ_ERR_WIRE;
	p->event.mapped = m.cls == STUN_SUCCESS ? m.mapped : (struct fz_addr){ 0 };
	p->event.code = m.error_code;
	stun_txn_take_rtt(&p->txn, &p->event.rtt_us, now_us);
	finish(p, m.cls == STUN_SUCCESS ? FZ_STUN_PROBE_MAPPED : FZ_STUN_PROBE_REFUSED);
	return 0;
}

void fz_stun_probe_handle_timeout(struct fz_stun_probe *p, uint64_t now_us)
{
	if (stun_txn_given_up(&p->txn, now_us))
		finish(p, FZ_STUN_PROBE_TIMEOUT);
}

uint64_t fz_stun_probe_next_timeout(const struct fz_stun_probe *p)
{
	return stun_txn_due(&p->txn);
}

int fz_stun_probe_poll_transmit(struct fz_stun_probe *p, void *buf, size_t cap, struct fz_addr *ret_to,
				uint64_t now_us)
{
	struct stun_enc e;
	int n;

	if (!stun_txn_wants_send(&p->txn, now_us))
		return 0;
	stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_REQUEST, &p->txn.id);
	if (p->software[0] != '\0')
		stun_put_text(&e, STUN_SOFTWARE, p->software);
	n = stun_enc_end(&e);
	if (n > 0) {
		stun_txn_sent(&p->txn, now_us);
		*ret_to = p->server;
	}
	return n;
}

bool fz_stun_probe_poll_event(struct fz_stun_probe *p, struct fz_stun_probe_event *ret)
{
	if (!p->has_event)
		return false;
	p->has_event = false;
	*ret = p->event;
	return true;
}
