/* SPDX-License-Identifier: Apache-2.0 */
/* Flow logs between object and platform: the tracker is the object's, files and requests are the platform's.
 */
#include "api/run_priv.h"
#include "base/log.h"
#include "base/time.h"

int run_flow_open(struct fz_run *r)
{
	struct flows *f = endpoint_flows(r->endpoint);
	const struct flow_service_opts opts = {
		.root = r->opts.flow_dir,
		.plain = !portal_uses_tls(endpoint_portal(r->endpoint)),
		.stats = &f->stats,
	};
	int err;

	if (opts.root == NULL)
		return 0;
	err = flow_service_new(r->env, &r->platform, &opts, r->now_us, &r->flow);
	if (err == FZ_ERR_UNSUPPORTED) {
		fz_warn(r->env, "flow", "this build has no flow logs");
		return 0;
	}
	f->has_spool = err == 0;
	return err;
}

void run_flow_close(struct fz_run *r)
{
	endpoint_flows(r->endpoint)->has_spool = false;
	flow_service_free(r->flow);
	r->flow = NULL;
}

void run_flow_turn(struct fz_run *r)
{
	struct flows *f = endpoint_flows(r->endpoint);

	if (r->flow == NULL)
		return;
	if (f->config_due)
		flow_service_configure(r->flow, &f->config, r->now_us);
	f->config_due = false;
	flow_service_run(r->flow, f->tracker, r->now_us, ask(r, unix_ns) / 1000000000u);
}

uint64_t run_flow_next(const struct fz_run *r)
{
	return r->flow ? flow_service_next_timeout(r->flow, endpoint_flows(r->endpoint)->tracker)
		       : FZ_NEVER_US;
}

bool run_flow_http(struct fz_run *r, const struct fz_http_result *result)
{
	return r->flow && flow_service_handle_http(r->flow, result, r->now_us);
}

void run_flow_finish(struct fz_run *r, uint64_t until_us)
{
	struct flow_tracker *t = endpoint_flows(r->endpoint)->tracker;

	if (r->flow == NULL)
		return;
	while (flow_service_finish(r->flow, t)) {
		if (ask(r, now_us) >= until_us) {
			fz_warn(r->env, "flow", "no time for the rest of the flow reports");
			return;
		}
	}
}
