/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/client.h"

#include "api/endpoint_api.h"
#include "api/handles.h"
#include "base/log.h"
#include "base/opts.h"

#define DEFAULT_USER_AGENT "Linux/1.0.0 headless-client/1.5.12"

ENDPOINT_API(fz_client, struct fz_client, client_endpoint_of)

int fz_client_new(const struct fz_env *env, const struct fz_client_opts *opts, uint64_t now_us,
		  struct fz_client **ret)
{
	struct fz_client_opts o;
	struct endpoint_opts eo = { .peer_kind = PORTAL_PEER_GATEWAY };
	struct client *c;
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
		.device_serial = o.device_serial,
		.device_uuid = o.device_uuid,
		.role = PORTAL_ROLE_CLIENT,
		.retry_budget_us = o.max_partition_us,
	};
	err = client_new(env, &eo, now_us, &c, &reason);
	if (err != 0) {
		if (reason)
			fz_error(env, "options", "%s", reason);
		return err;
	}
	client_set_internet(c, o.internet, now_us);
	*ret = client_handle(c);
	return 0;
}

void fz_client_free(struct fz_client *c)
{
	client_free(c ? client_of(c) : NULL);
}

void fz_client_set_internet(struct fz_client *c, bool on, uint64_t now_us)
{
	client_set_internet(client_of(c), on, now_us);
}

bool fz_client_resource(struct fz_client *c, size_t i, struct fz_resource *ret)
{
	return client_resource_at(client_of(c), i, ret);
}

int fz_client_reset(struct fz_client *c, uint64_t now_us)
{
	return client_reset(client_of(c), now_us);
}

void fz_client_reconnect(struct fz_client *c, uint64_t now_us)
{
	endpoint_reconnect(client_endpoint_of(c), now_us);
}
