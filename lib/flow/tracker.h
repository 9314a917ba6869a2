/* SPDX-License-Identifier: Apache-2.0 */
/* Which flows pass, and how much. A table of open flows, bounded, from a pool; one look-up per packet or
 * super-packet; the reports of what opened and closed are taken out later and by others (service.h).
 *
 * A flow is opened by a packet from the initiator that was let through, and only when the access it uses came
 * with an ingest token of which somebody wants to know: the portal (uploads) or the local log. It keeps the
 * token and the domain of its first packet. It ends with a reset, a second connection on the same ports, FIN
 * both ways, two minutes of silence, or the process; a change of path does not end it, unless it is the
 * seventeenth. Counters and ends are those of the portal's documentation; docs/PROTOCOL.md. */
#ifndef FLOW_TRACKER_H
#define FLOW_TRACKER_H

#include "base/text.h"
#include "flow/record.h"
#include "flow/stats.h"
#include "fzconn/env.h"
#include "wire/ip.h"

/* Open flows and those whose report is not taken yet; above that new ones are not tracked. */
#define FLOWS_MAX 65536
/* Accesses with a token; above that flows of new ones are not tracked. */
#define FLOW_AUTHS_MAX 65536

struct flow_tracker;
struct flow;

/* Log area of local flow logs, level trace: one JSON object per line. */
#define FLOW_LOG_AREA "flow_logs"

struct flow_tracker_opts {
	bool local; /* log every flow, whatever the portal says */
	uint64_t unix_ns; /* wall clock now: from here on only our own clock counts, so that steps do no harm
			   */
	struct flow_stats *stats; /* borrowed */
};
/* FZ_ERR_NOMEM; FZ_ERR_UNSUPPORTED: this build has no flow logs. */
int flow_tracker_new(const struct fz_env *env, const struct flow_tracker_opts *opts, uint64_t now_us,
		     struct flow_tracker **ret);
void flow_tracker_free(struct flow_tracker *t);
/* Does the portal take reports? False: nothing more is opened for it; what is open goes on until it closes.
 */
void flow_tracker_set_upload(struct flow_tracker *t, bool on);
/* Nothing is wanted and nothing is left: free it. */
bool flow_tracker_is_idle(const struct flow_tracker *t);

/* Access of a peer to a resource; replaces an earlier one for new flows. FZ_ERR_WIRE: the token says nothing
 * that could be reported; FZ_ERR_FULL; FZ_ERR_NOMEM. In all these cases flows of it are not tracked. */
int flow_tracker_authorize(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource,
			   const char *token);
/* The access is over, or (resource NULL) the peer is gone; open flows go on. */
void flow_tracker_forget(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource);

/* A packet from the initiator that was let through, addresses as the resource sees them. The outer addresses
 * are those that it came or went by; family none = not known. The flow when this packet has opened it, else
 * NULL: it may be given the name of its resource, until the next call. */
struct flow_sent {
	const struct fz_uuid *peer, *resource;
	struct fz_addr outer_src, outer_dst;
};
struct flow *flow_tracker_tx(struct flow_tracker *t, const struct flow_sent *s, const struct fz_pkt *pkt,
			     const struct ip_view *view, uint64_t now_us);
/* Copied; without memory the flow stays without. */
void flow_tracker_set_domain(struct flow_tracker *t, struct flow *f, const char *domain);
/* The flow that an answer belongs to, before the answer's addresses are translated; NULL = none. Valid until
 * the next call but flow_tracker_rx(), which counts the answer once it is really on its way. */
struct flow *flow_tracker_find(struct flow_tracker *t, const struct fz_uuid *peer,
			       const struct ip_view *view);
void flow_tracker_rx(struct flow_tracker *t, struct flow *f, const struct fz_pkt *pkt,
		     const struct ip_view *view, uint64_t now_us);

void flow_tracker_handle_timeout(struct flow_tracker *t, uint64_t now_us);
uint64_t flow_tracker_next_timeout(const struct flow_tracker *t);
/* The end: everything closes now. */
void flow_tracker_close_all(struct flow_tracker *t, uint64_t now_us);
size_t flow_tracker_open(const struct flow_tracker *t);

/* ---- reports ---- */

/* What gives somebody the right to a flow, and a report its place. */
struct flow_auth {
	char id[FZ_UUID_STRLEN]; /* of the policy authorization */
	bool is_initiator; /* our role */
	const char *token; /* NULL = the portal does not want it */
	bool is_stored; /* for the spool */
};

struct flow_report {
	struct flow_auth *auth;
	bool had_start; /* an end whose beginning was reported */
	struct flow_record record; /* valid until the next call */
};

/* When reports should be taken: a moment after the first waits, so that short flows give one and the disk is
 * touched once. FZ_NEVER_US = none waits. */
uint64_t flow_tracker_reports_due(const struct flow_tracker *t);
/* Next report for the portal, in order; false = that was all. Those for the local log alone are written on
 * the way. A flow that has ended before its beginning was reported gives one report. */
bool flow_tracker_next_report(struct flow_tracker *t, struct flow_report *ret);
/* Is access with this id known, so that more reports may come? */
bool flow_tracker_uses(const struct flow_tracker *t, const char *auth_id);

#endif
