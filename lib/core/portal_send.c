/* SPDX-License-Identifier: Apache-2.0 */
/* What the device says. */
#include <string.h>

#include "core/portal_priv.h"
#include "fzconn/error.h"

static int send_message(struct portal *p, const char *event, struct jv *payload)
{
	int err = phx_chan_send(&p->chan, event, payload);

	if (err == FZ_ERR_FULL)
		p->stats.dropped_full++;
	return err;
}

int portal_send_request_authorization(struct portal *p, const struct fz_uuid *resource,
				      const struct fz_uuid *connected_gateways, size_t n)
{
	return send_message(p, "request_authorization",
			    portal_msg_request_authorization(resource, connected_gateways, n, NULL));
}

int portal_send_request_device(struct portal *p, const struct fz_uuid *resource, const struct fz_ip *target)
{
	return send_message(p, "request_authorization",
			    portal_msg_request_authorization(resource, NULL, 0, target));
}

int portal_send_resolve_pool_domain(struct portal *p, const struct fz_uuid *resource, const char *domain)
{
	return send_message(p, "resolve_device_pool_domain",
			    portal_msg_resolve_pool_domain(resource, domain));
}

int portal_send_authorization_created(struct portal *p, const char *ref)
{
	return send_message(p, "authorization_created", portal_msg_authorization_created(ref));
}

int portal_send_no_relays(struct portal *p)
{
	return send_message(p, "no_relays", portal_msg_empty());
}

static int send_candidates(struct portal *p, enum portal_candidates_kind kind, enum portal_peer peer,
			   const struct fz_uuid *id, const char *const *texts, size_t n)
{
	return phx_chan_send(&p->chan, portal_msg_candidates_event(p->role, kind, peer),
			     portal_msg_candidates(p->role, peer, id, texts, n));
}

int portal_send_candidates(struct portal *p, enum portal_candidates_kind kind, enum portal_peer peer,
			   const struct fz_uuid *id, const char *const *texts, size_t n)
{
	int err = FZ_ERR_STATE;

	if (n == 0)
		return 0;
	if (p->up && portal_held_is_empty(&p->held))
		err = send_candidates(p, kind, peer, id, texts, n);
	if (err == FZ_ERR_STATE || err == FZ_ERR_FULL)
		err = portal_held_put(&p->held, p->env, kind, peer, id, texts, n);
	if (err == FZ_ERR_FULL)
		p->stats.dropped_full++;
	return err;
}

void portal_forget_candidates(struct portal *p, enum portal_peer peer, const struct fz_uuid *id)
{
	portal_held_forget(&p->held, p->env, peer, id);
}

void portal_flush_held(struct portal *p)
{
	enum portal_candidates_kind kind;
	struct portal_held_peer *h;

	while (p->up && p->chan.queue_len < PHX_QUEUE_MAX / 2 &&
	       (h = portal_held_peek(&p->held, &kind)) != NULL) {
		const char *texts[PORTAL_CANDIDATES_MAX];
		for (size_t i = 0; i < h->len[kind]; i++)
			texts[i] = h->texts[kind][i];
		if (send_candidates(p, kind, h->peer, &h->id, texts, h->len[kind]) != 0)
			return;
		portal_held_drop(&p->held, p->env, h, kind);
	}
}
