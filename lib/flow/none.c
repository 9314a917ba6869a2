/* SPDX-License-Identifier: Apache-2.0 */
/* A build without flow logs: there is never a tracker nor a service, so nothing but new and free is called.
 */
#include "flow/service.h"
#include "fzconn/error.h"

int flow_tracker_new(const struct fz_env *env, const struct flow_tracker_opts *opts, uint64_t now_us,
		     struct flow_tracker **ret)
{
	(void)env;
	(void)opts;
	(void)now_us;
	(void)ret;
	return FZ_ERR_UNSUPPORTED;
}

void flow_tracker_free(struct flow_tracker *t)
{
	(void)t;
}

void flow_tracker_set_upload(struct flow_tracker *t, bool on)
{
	(void)t;
	(void)on;
}

bool flow_tracker_is_idle(const struct flow_tracker *t)
{
	(void)t;
	return true;
}

int flow_tracker_authorize(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource,
			   const char *token)
{
	(void)t;
	(void)peer;
	(void)resource;
	(void)token;
	return FZ_ERR_UNSUPPORTED;
}

void flow_tracker_forget(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource)
{
	(void)t;
	(void)peer;
	(void)resource;
}

struct flow *flow_tracker_tx(struct flow_tracker *t, const struct flow_sent *s, const struct fz_pkt *pkt,
			     const struct ip_view *view, uint64_t now_us)
{
	(void)t;
	(void)s;
	(void)pkt;
	(void)view;
	(void)now_us;
	return NULL;
}

void flow_tracker_set_domain(struct flow_tracker *t, struct flow *f, const char *domain)
{
	(void)t;
	(void)f;
	(void)domain;
}

struct flow *flow_tracker_find(struct flow_tracker *t, const struct fz_uuid *peer, const struct ip_view *view)
{
	(void)t;
	(void)peer;
	(void)view;
	return NULL;
}

void flow_tracker_rx(struct flow_tracker *t, struct flow *f, const struct fz_pkt *pkt,
		     const struct ip_view *view, uint64_t now_us)
{
	(void)t;
	(void)f;
	(void)pkt;
	(void)view;
	(void)now_us;
}

void flow_tracker_handle_timeout(struct flow_tracker *t, uint64_t now_us)
{
	(void)t;
	(void)now_us;
}

uint64_t flow_tracker_next_timeout(const struct flow_tracker *t)
{
	(void)t;
	return FZ_NEVER_US;
}

void flow_tracker_close_all(struct flow_tracker *t, uint64_t now_us)
{
	(void)t;
	(void)now_us;
}

size_t flow_tracker_open(const struct flow_tracker *t)
{
	(void)t;
	return 0;
}

uint64_t flow_tracker_reports_due(const struct flow_tracker *t)
{
	(void)t;
	return FZ_NEVER_US;
}

bool flow_tracker_next_report(struct flow_tracker *t, struct flow_report *ret)
{
	(void)t;
	(void)ret;
	return false;
}

int flow_service_new(const struct fz_env *env, const struct fz_platform *platform,
		     const struct flow_service_opts *opts, uint64_t now_us, struct flow_service **ret)
{
	(void)env;
	(void)platform;
	(void)opts;
	(void)now_us;
	(void)ret;
	return FZ_ERR_UNSUPPORTED;
}

void flow_service_free(struct flow_service *s)
{
	(void)s;
}

void flow_service_configure(struct flow_service *s, const struct flow_upload_config *c, uint64_t now_us)
{
	(void)s;
	(void)c;
	(void)now_us;
}

void flow_service_run(struct flow_service *s, struct flow_tracker *t, uint64_t now_us, uint64_t unix_s)
{
	(void)s;
	(void)t;
	(void)now_us;
	(void)unix_s;
}

uint64_t flow_service_next_timeout(const struct flow_service *s, const struct flow_tracker *t)
{
	(void)s;
	(void)t;
	return FZ_NEVER_US;
}

bool flow_service_handle_http(struct flow_service *s, const struct fz_http_result *r, uint64_t now_us)
{
	(void)s;
	(void)r;
	(void)now_us;
	return false;
}

bool flow_service_finish(struct flow_service *s, struct flow_tracker *t)
{
	(void)s;
	(void)t;
	return false;
}
