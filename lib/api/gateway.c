/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/gateway.h"

#include "api/endpoint_api.h"
#include "api/handles.h"
#include "base/log.h"
#include "base/opts.h"

#define DEFAULT_USER_AGENT "Linux/1.0.0 gateway/1.6.1"

ENDPOINT_API(fz_gateway, struct fz_gateway, gateway_endpoint_of)

int fz_gateway_new(const struct fz_env *env, const struct fz_gateway_opts *opts, uint64_t now_us,
		   struct fz_gateway **ret)
{
	struct fz_gateway_opts o;
	struct endpoint_opts eo = { .peer_kind = PORTAL_PEER_CLIENT };
	struct gateway *g;
	const char *reason;
	int err;

	if (env == NULL)
		env = fz_env_default();
	if (opts == NULL)
		return FZ_ERR_INVAL;
	err = fz_opts_import(&o, sizeof(o), opts, opts->size);
	if (err == 0)
		err = endpoint_opts_check(env, o.token, o.id, o.name);
	if (err != 0)
		return err;
	eo.flow_logs = o.flow_logs;
	eo.portal = (struct portal_opts){
		.url = o.api_url ? o.api_url : FZ_DEFAULT_API_URL,
		.token = o.token,
		.external_id = o.id,
		.name = o.name,
		.user_agent = o.user_agent ? o.user_agent : DEFAULT_USER_AGENT,
		.role = PORTAL_ROLE_GATEWAY,
		.retry_budget_us = o.max_partition_us,
	};
	err = gateway_new(env, &eo, now_us, &g, &reason);
	if (err != 0) {
		if (reason)
			fz_error(env, "options", "%s", reason);
		return err;
	}
	*ret = gateway_handle(g);
	return 0;
}

void fz_gateway_free(struct fz_gateway *g)
{
	gateway_free(g ? gateway_of(g) : NULL);
}

void fz_gateway_reconnect(struct fz_gateway *g, uint64_t now_us)
{
	endpoint_reconnect(gateway_endpoint_of(g), now_us);
}
