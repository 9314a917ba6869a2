/* SPDX-License-Identifier: Apache-2.0 */
#include "core/flows.h"

#include <stdio.h>

#include "base/log.h"
#include "base/time.h"

void flows_init(struct flows *f, const struct fz_env *env, bool local)
{
	*f = (struct flows){ .env = env, .local = local };
}

void flows_clear(struct flows *f)
{
	flow_tracker_free(f->tracker);
	f->tracker = f->active = NULL;
}

static void take_config(struct flows *f, const struct portal_flow_logs *c)
{
	int n = snprintf(f->config.api_url, sizeof(f->config.api_url), "%s", c->api_url);

	f->config.interval_s = c->upload_interval_secs;
	f->config.batch = c->upload_batch_size;
	if (n >= (int)sizeof(f->config.api_url)) {
		fz_warn(f->env, "flow", "flow logs are not uploaded: the address is too long");
		f->config.interval_s = 0;
	}
	f->config_due = true;
}

static void configure(struct flows *f, const struct portal_flow_logs *c, uint64_t now_us, uint64_t unix_ns)
{
	const struct flow_tracker_opts opts = { .local = f->local, .unix_ns = unix_ns, .stats = &f->stats };
	bool upload, wanted;
	int err = 0;

	take_config(f, c);
	upload = f->has_spool && f->config.interval_s > 0;
	wanted = f->local || upload;
	if (wanted && f->tracker == NULL)
		err = flow_tracker_new(f->env, &opts, now_us, &f->tracker);
	if (err != 0)
		fz_warn(f->env, "flow", "flows are not tracked: %s", fz_strerror(err));
	if (f->tracker)
		flow_tracker_set_upload(f->tracker, upload);
	f->active = wanted ? f->tracker : NULL;
}

static void authorize(struct flows *f, const struct fz_uuid *peer, const struct fz_uuid *resource,
		      const char *token)
{
	int err = f->active ? flow_tracker_authorize(f->active, peer, resource, token) : 0;

	if (err != 0)
		fz_warn(f->env, "flow", "flows of a grant are not tracked: %s", fz_strerror(err));
}

void flows_handle_message(struct flows *f, const struct portal_event *ev, uint64_t now_us, uint64_t unix_ns)
{
	switch (ev->type) {
	case PORTAL_EVENT_INIT:
		configure(f, &ev->u.init.flow_logs, now_us, unix_ns);
		break;
	case PORTAL_EVENT_CREATE_AUTHZ:
		authorize(f, &ev->u.create_authz.client_id, &ev->u.create_authz.resource.id,
			  ev->u.create_authz.flow_token);
		break;
	case PORTAL_EVENT_AUTHZ_CREATED:
		authorize(f, &ev->u.authz_created.gateway_id, &ev->u.authz_created.resource_id,
			  ev->u.authz_created.flow_token);
		break;
	case PORTAL_EVENT_ACCESS_REJECTED:
		if (f->tracker)
			flow_tracker_forget(f->tracker, &ev->u.authorization.client_id,
					    &ev->u.authorization.resource_id);
		break;
	default:
		break;
	}
}

void flows_forget_peer(struct flows *f, const struct fz_uuid *peer)
{
	if (f->tracker)
		flow_tracker_forget(f->tracker, peer, NULL);
}

/* Where nobody takes reports the local log is all there is. */
static void drain(struct flows *f)
{
	struct flow_report unused;

	while (!f->has_spool && flow_tracker_next_report(f->tracker, &unused))
		;
}

void flows_handle_timeout(struct flows *f, uint64_t now_us)
{
	if (f->tracker == NULL)
		return;
	flow_tracker_handle_timeout(f->tracker, now_us);
	if (flow_tracker_reports_due(f->tracker) <= now_us)
		drain(f);
	if (f->active == NULL && flow_tracker_is_idle(f->tracker))
		flows_clear(f);
}

uint64_t flows_next_timeout(const struct flows *f)
{
	uint64_t at;

	if (f->tracker == NULL)
		return FZ_NEVER_US;
	at = flow_tracker_next_timeout(f->tracker);
	return f->has_spool ? at : fz_min_us(at, flow_tracker_reports_due(f->tracker));
}

void flows_close_all(struct flows *f, uint64_t now_us)
{
	if (f->tracker == NULL)
		return;
	flow_tracker_close_all(f->tracker, now_us);
	drain(f);
}

static struct flow_sent sent(const struct flow_packet *p)
{
	return (struct flow_sent){ .peer = p->peer, .resource = p->resource };
}

struct flow *flows_received(struct flows *f, const struct node *n, uint32_t ref, const struct flow_packet *p,
			    uint64_t now_us)
{
	struct flow_sent s = sent(p);

	node_came_by(n, ref, &s.outer_src, &s.outer_dst);
	return flow_tracker_tx(f->active, &s, p->pkt, p->view, now_us);
}

struct flow *flows_sent(struct flows *f, const struct node *n, uint32_t ref, const struct flow_packet *p,
			uint64_t now_us)
{
	struct flow_sent s = sent(p);

	node_goes_by(n, ref, &s.outer_src, &s.outer_dst);
	return flow_tracker_tx(f->active, &s, p->pkt, p->view, now_us);
}
