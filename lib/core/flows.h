/* SPDX-License-Identifier: Apache-2.0 */
/* Flow logs of an endpoint: is there a tracker, and what is it told. It exists while the host keeps a local
 * log or while the portal takes reports and the host has a place for them; until then nothing of flows is
 * kept, and a packet costs one look at `active`. The endpoint hands in what the portal says; roles hand in
 * packets. */
#ifndef CORE_FLOWS_H
#define CORE_FLOWS_H

#include "core/node.h"
#include "flow/service.h"

struct flows {
	const struct fz_env *env;
	struct flow_tracker *active; /* NULL = packets are not observed */
	struct flow_tracker *tracker; /* may still hold flows when it is not active */
	struct flow_stats stats;
	bool local; /* the host keeps a log */
	bool has_spool; /* the host takes reports */
	struct flow_upload_config config;
	bool config_due; /* to be told to the host's service */
};

void flows_init(struct flows *f, const struct fz_env *env, bool local);
void flows_clear(struct flows *f);
/* From the portal, before the role sees it. */
void flows_handle_message(struct flows *f, const struct portal_event *ev, uint64_t now_us, uint64_t unix_ns);
/* The peer is gone, and what it was granted. */
void flows_forget_peer(struct flows *f, const struct fz_uuid *peer);
void flows_handle_timeout(struct flows *f, uint64_t now_us);
uint64_t flows_next_timeout(const struct flows *f);
void flows_close_all(struct flows *f, uint64_t now_us);

/* For roles, only while `active`: a packet that was let through from the initiator, in the form that it has
 * beyond all translation. Answers: flow_tracker_find() and _rx(). Results as flow_tracker_tx(). */
struct flow_packet {
	const struct fz_uuid *peer, *resource;
	const struct fz_pkt *pkt;
	const struct ip_view *view;
};
/* It came from the peer: we respond. */
struct flow *flows_received(struct flows *f, const struct node *n, uint32_t ref, const struct flow_packet *p,
			    uint64_t now_us);
/* It went to the peer: we initiate. */
struct flow *flows_sent(struct flows *f, const struct node *n, uint32_t ref, const struct flow_packet *p,
			uint64_t now_us);

#endif
