/* SPDX-License-Identifier: Apache-2.0 */
#include "core/portal_priv.h"

static const char *state_name(const struct portal *p)
{
	switch (p->state) {
	case PORTAL_WAITING:
		return "waiting";
	case PORTAL_DIALING:
		return "connecting";
	case PORTAL_UPGRADING:
		return "signing in";
	case PORTAL_OPEN:
		return p->up ? "up" : "joining";
	case PORTAL_DEAD:
		break;
	}
	return "dead";
}

static struct jv *drops(const struct portal_stats *s)
{
	struct jv *v = jv_object();
	bool good = jv_set_u64(v, "unknown message", s->dropped_unknown);

	good &= jv_set_u64(v, "malformed message", s->dropped_malformed);
	good &= jv_set_u64(v, "queue full", s->dropped_full);
	if (good)
		return v;
	jv_free(v);
	return NULL;
}

struct jv *portal_status(const struct portal *p, uint64_t now_us)
{
	const struct portal_stats *s = &p->stats;
	struct jv *v = jv_object();
	bool good = jv_set_str(v, "state", state_name(p)) && jv_set_str(v, "host", p->url.host);

	good &= jv_set_u64(v, "port", p->url.port) && jv_set_bool(v, "tls", p->url.tls);
	if (p->state == PORTAL_WAITING && p->dial_us > now_us)
		good &= jv_set_u64(v, "retry_us", p->dial_us - now_us);
	if (!p->up && p->shown_reason[0])
		(void)jv_set_str(v, "reason", p->shown_reason); /* left out when it is not UTF-8 */
	good &= jv_set_u64(v, "dials", s->dials) && jv_set_u64(v, "joins", s->joins);
	good &= jv_set_u64(v, "losses", s->losses);
	good &= jv_set_u64(v, "messages_in", s->messages_in);
	good &= jv_set_u64(v, "messages_out", s->messages_out);
	good &= jv_set(v, "drops", drops(s));
	if (good)
		return v;
	jv_free(v);
	return NULL;
}
