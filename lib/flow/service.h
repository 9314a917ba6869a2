/* SPDX-License-Identifier: Apache-2.0 */
/* Flow logs at work on a platform: takes reports from the tracker to the spool and from there to the portal.
 * The tracker may come and go; the spool is carried off whatever happens. */
#ifndef FLOW_SERVICE_H
#define FLOW_SERVICE_H

#include "flow/spool.h"

struct flow_service;

struct flow_service_opts {
	const char *root; /* folder of the spool, absolute; copied */
	bool plain; /* reports may go to http URLs */
	struct flow_stats *stats; /* borrowed */
};
/* The platform is borrowed. FZ_ERR_INVAL: the folder; FZ_ERR_NOMEM; FZ_ERR_UNSUPPORTED: not in this build. */
int flow_service_new(const struct fz_env *env, const struct fz_platform *platform,
		     const struct flow_service_opts *opts, uint64_t now_us, struct flow_service **ret);
/* A request under way is given up: its reports are still there. */
void flow_service_free(struct flow_service *s);

/* What the portal says about uploads. */
void flow_service_configure(struct flow_service *s, const struct flow_upload_config *c, uint64_t now_us);
/* Once a turn; a bounded amount of work. The tracker may be NULL. */
void flow_service_run(struct flow_service *s, struct flow_tracker *t, uint64_t now_us, uint64_t unix_s);
uint64_t flow_service_next_timeout(const struct flow_service *s, const struct flow_tracker *t);
/* An answer of the platform; false: it is not ours. */
bool flow_service_handle_http(struct flow_service *s, const struct fz_http_result *r, uint64_t now_us);
/* The end, after flow_tracker_close_all(): write what is left; call until false, at most for as long as there
 * is time. Nothing is uploaded any more. */
bool flow_service_finish(struct flow_service *s, struct flow_tracker *t);

#endif
