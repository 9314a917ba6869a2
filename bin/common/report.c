/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <string.h>

#include "logger.h"

static void log_addresses(const struct fz_event *ev)
{
	char local[FZ_ADDR_STRLEN], remote[FZ_ADDR_STRLEN];

	say(FZ_LOG_DEBUG, "peer %u: %s -> %s", ev->u.peer.number, fz_addr_format(&ev->u.peer.local, local),
	    fz_addr_format(&ev->u.peer.remote, remote));
}

/* Attempts before the first packets can flow, and other addresses of the same kind of path, are details. */
static void report_peer(struct report *r, const struct fz_event *ev)
{
	const uint32_t number = ev->u.peer.number;
	struct report_peer *p = &r->peers[number % REPORT_PEERS];
	const char *path = ev->u.peer.path ? ev->u.peer.path : "unknown",
		   *was = p->number == number ? p->path : NULL;

	if (ev->type == FZ_EVENT_PEER_DOWN) {
		say(FZ_LOG_INFO, "peer %u (%s): disconnected: %s", number, ev->u.peer.id, path);
		*p = (struct report_peer){ 0 };
		return;
	}
	if (ev->type == FZ_EVENT_PEER_UP) {
		say(FZ_LOG_INFO, "peer %u (%s): connected, path %s", number, ev->u.peer.id, path);
		*p = (struct report_peer){ number, path };
	} else if (was && strcmp(was, path) != 0) {
		say(FZ_LOG_INFO, "peer %u: path is now %s, it was %s", number, path, was);
		p->path = path;
	} else {
		say(FZ_LOG_DEBUG, "peer %u: %s path %s", number, was ? "another" : "trying", path);
	}
	log_addresses(ev);
}

static void report_portal_down(const struct fz_event *ev)
{
	const char *what = ev->u.portal_down.was_up ? "lost the portal" : "the portal is not reached";

	if (ev->u.portal_down.retry_us == FZ_NEVER_US) /* what comes next says it all */
		say(FZ_LOG_INFO, "%s: %s", what, ev->u.portal_down.reason);
	else
		say(FZ_LOG_INFO, "%s: %s; next attempt in %.1f s", what, ev->u.portal_down.reason,
		    (double)ev->u.portal_down.retry_us / 1e6);
}

void report_event(struct report *r, const struct fz_event *ev)
{
	switch (ev->type) {
	case FZ_EVENT_PORTAL_UP:
		say(FZ_LOG_INFO, "signed in at the portal");
		break;
	case FZ_EVENT_PORTAL_DOWN:
		report_portal_down(ev);
		break;
	case FZ_EVENT_READY:
		say(FZ_LOG_INFO, "the tunnel interface is ready");
		break;
	case FZ_EVENT_PEER_UP:
	case FZ_EVENT_PEER_PATH:
	case FZ_EVENT_PEER_DOWN:
		report_peer(r, ev);
		break;
	case FZ_EVENT_GRANTED:
		say(FZ_LOG_INFO, "access granted: resource %s, peer %s", ev->u.grant.resource,
		    ev->u.grant.peer);
		break;
	case FZ_EVENT_REVOKED:
		say(FZ_LOG_INFO, "access ended: resource %s, peer %s: %s", ev->u.grant.resource,
		    ev->u.grant.peer, ev->u.grant.reason);
		break;
	case FZ_EVENT_REFUSED:
		say(FZ_LOG_INFO, "access refused: resource %s: %s", ev->u.refused.resource,
		    ev->u.refused.reason);
		break;
	default:
		break;
	}
}
