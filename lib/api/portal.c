/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/portal.h"

#include <string.h>

#include "api/endpoint_opts.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opts.h"
#include "core/portal.h"
#include "wire/portal_url.h"

_Static_assert(sizeof(struct fz_portal_opts) == offsetof(struct fz_portal_opts, iceless) + sizeof(uint32_t),
	       "no padding at the end");

_Static_assert(sizeof(struct fz_portal_agent) == offsetof(struct fz_portal_agent, kernel) + sizeof(char *),
	       "no padding at the end");

#define GATEWAYS_MAX 64

struct fz_portal {
	const struct fz_env *env;
	struct portal *core;
	enum portal_role role;
	char *payload; /* of the message shown last; a secret */
};

static const enum fz_portal_message kinds[] = {
	[PORTAL_EVENT_INIT] = FZ_PORTAL_MSG_INIT,
	[PORTAL_EVENT_CONFIG_CHANGED] = FZ_PORTAL_MSG_CONFIG,
	[PORTAL_EVENT_RESOURCE_UPSERTED] = FZ_PORTAL_MSG_RESOURCE,
	[PORTAL_EVENT_RESOURCE_DELETED] = FZ_PORTAL_MSG_RESOURCE_GONE,
	[PORTAL_EVENT_RESOURCE_IGNORED] = FZ_PORTAL_MSG_RESOURCE,
	[PORTAL_EVENT_RELAYS_PRESENCE] = FZ_PORTAL_MSG_RELAYS,
	[PORTAL_EVENT_AUTHZ_CREATED] = FZ_PORTAL_MSG_ACCESS_CREATED,
	[PORTAL_EVENT_AUTHZ_FAILED] = FZ_PORTAL_MSG_ACCESS_FAILED,
	[PORTAL_EVENT_CREATE_AUTHZ] = FZ_PORTAL_MSG_ACCESS_REQUEST,
	[PORTAL_EVENT_CANDIDATES_ADDED] = FZ_PORTAL_MSG_CANDIDATES,
	[PORTAL_EVENT_CANDIDATES_REMOVED] = FZ_PORTAL_MSG_CANDIDATES_GONE,
	[PORTAL_EVENT_DEVICE_ACCESS] = FZ_PORTAL_MSG_DEVICE_ACCESS,
	[PORTAL_EVENT_DEVICE_DENIED] = FZ_PORTAL_MSG_DEVICE_DENIED,
	[PORTAL_EVENT_DEVICE_OFFLINE] = FZ_PORTAL_MSG_DEVICE_OFFLINE,
	[PORTAL_EVENT_POOL_DOMAIN_RESOLVED] = FZ_PORTAL_MSG_POOL_NAME,
	[PORTAL_EVENT_POOL_DOMAIN_FAILED] = FZ_PORTAL_MSG_POOL_NAME_FAILED,
	[PORTAL_EVENT_FILTERS_UPDATED] = FZ_PORTAL_MSG_FILTERS,
	[PORTAL_EVENT_ACCESS_REJECTED] = FZ_PORTAL_MSG_ACCESS_REVOKED,
	[PORTAL_EVENT_EXPIRY_UPDATED] = FZ_PORTAL_MSG_OTHER,
};

static struct fz_key key_of(const struct fz_wg_key *key)
{
	struct fz_key k;

	memcpy(k.b, key->b, sizeof(k.b));
	return k;
}

static int new_core(struct fz_portal *p, const struct fz_portal_opts *o, uint64_t now_us)
{
	struct portal_opts po = {
		.url = o->url ? o->url : FZ_DEFAULT_API_URL,
		.token = o->token,
		.external_id = o->id,
		.name = o->name,
		.user_agent = o->user_agent,
		.device_serial = o->device_serial,
		.device_uuid = o->device_uuid,
		.role = p->role,
		.iceless = o->iceless == 1,
		.keep_payload = true,
		.retry_budget_us = o->max_partition_us,
	};
	const char *reason = NULL;
	int err = portal_new(p->env, &po, now_us, &p->core, &reason);

	if (err == FZ_ERR_INVAL && reason)
		fz_error(p->env, "options", "%s", reason);
	return err;
}

int fz_portal_new(const struct fz_env *env, const struct fz_portal_opts *opts, const struct fz_wg_key *key,
		  uint64_t now_us, struct fz_portal **ret)
{
	struct fz_portal_opts o;
	struct fz_portal *p;
	int err;

	if (env == NULL)
		env = fz_env_default();
	if (opts == NULL || key == NULL)
		return FZ_ERR_INVAL;
	err = fz_opts_import(&o, sizeof(o), opts, opts->size);
	if (err == 0)
		err = endpoint_opts_check(env, o.token, o.id, o.name);
	if (err == 0 && ((o.role != FZ_PORTAL_CLIENT && o.role != FZ_PORTAL_GATEWAY) || o.iceless > 1)) {
		fz_error(env, "options", "role must be client or gateway, iceless 0 or 1");
		err = FZ_ERR_INVAL;
	}
	if (err)
		return err;
	p = fz_zalloc(env, sizeof(*p));
	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->role = o.role == FZ_PORTAL_CLIENT ? PORTAL_ROLE_CLIENT : PORTAL_ROLE_GATEWAY;
	err = new_core(p, &o, now_us);
	if (err) {
		fz_free(env, p);
		return err;
	}
	fz_portal_set_public_key(p, key);
	*ret = p;
	return 0;
}

void fz_portal_free(struct fz_portal *p)
{
	if (p == NULL)
		return;
	portal_free(p->core);
	fz_free_secret(p->env, p->payload);
	fz_free(p->env, p);
}

void fz_portal_handle_opened(struct fz_portal *p, uint64_t now_us)
{
	portal_handle_connected(p->core, now_us);
}

void fz_portal_handle_data(struct fz_portal *p, const void *data, size_t len, uint64_t now_us)
{
	portal_handle_data(p->core, data, len, now_us);
}

void fz_portal_handle_closed(struct fz_portal *p, const char *reason, uint64_t now_us)
{
	portal_handle_disconnected(p->core, reason, now_us);
}

void fz_portal_handle_timeout(struct fz_portal *p, uint64_t now_us)
{
	portal_handle_timeout(p->core, now_us);
}

uint64_t fz_portal_next_timeout(const struct fz_portal *p)
{
	return portal_next_timeout(p->core);
}

int fz_portal_poll_transmit(struct fz_portal *p, void *buf, size_t cap, uint64_t now_us)
{
	return portal_poll_transmit(p->core, buf, cap, now_us);
}

/* False: there is no memory for the text. */
static bool show_message(struct fz_portal *p, const struct portal_event *ev, struct fz_portal_event *ret)
{
	const struct jv *payload;

	portal_last_message(p->core, &ret->u.message.name, &payload);
	p->payload = jv_dump(p->env, payload, &ret->u.message.payload_len);
	ret->u.message.kind = kinds[ev->type];
	ret->u.message.payload = p->payload;
	return p->payload != NULL;
}

/* False: nothing to show of this one. */
static bool convert(struct fz_portal *p, const struct portal_out *out, struct fz_portal_event *ret)
{
	switch (out->type) {
	case PORTAL_OUT_CONNECT:
		ret->type = FZ_PORTAL_CONNECT;
		ret->u.connect.host = out->u.connect.host;
		ret->u.connect.port = out->u.connect.port;
		ret->u.connect.tls = out->u.connect.tls;
		break;
	case PORTAL_OUT_CLOSE:
		ret->type = FZ_PORTAL_CLOSE;
		break;
	case PORTAL_OUT_UP:
		ret->type = FZ_PORTAL_UP;
		break;
	case PORTAL_OUT_DOWN:
		ret->type = FZ_PORTAL_DOWN;
		ret->u.down.reason = out->u.down.reason;
		ret->u.down.retry_us = out->u.down.retry_us;
		ret->u.down.was_up = out->u.down.was_up;
		break;
	case PORTAL_OUT_MESSAGE:
		ret->type = FZ_PORTAL_MESSAGE;
		return show_message(p, &out->u.message, ret);
	case PORTAL_OUT_FATAL:
		ret->type = FZ_PORTAL_DEAD;
		ret->u.dead.err = out->u.fatal.err;
		ret->u.dead.text = out->u.fatal.text;
		break;
	}
	return true;
}

bool fz_portal_poll_event(struct fz_portal *p, struct fz_portal_event *ret)
{
	struct portal_out out;
	struct fz_portal_event ev;

	fz_free_secret(p->env, p->payload);
	p->payload = NULL;
	while (portal_poll_event(p->core, &out)) {
		bool shown;
		memset(&ev, 0, sizeof(ev));
		shown = convert(p, &out, &ev);
		portal_out_clear(p->core, &out);
		if (shown) {
			*ret = ev;
			return true;
		}
		portal_lose_message(p->core);
	}
	return false;
}

bool fz_portal_is_up(const struct fz_portal *p)
{
	return portal_is_up(p->core);
}

void fz_portal_set_public_key(struct fz_portal *p, const struct fz_wg_key *key)
{
	struct fz_key k = key_of(key);

	portal_set_public_key(p->core, &k);
}

void fz_portal_reconnect(struct fz_portal *p, uint64_t now_us)
{
	portal_reconnect(p->core, now_us);
}

void fz_portal_shutdown(struct fz_portal *p, uint64_t now_us)
{
	portal_shutdown(p->core, now_us);
}

int fz_portal_request_access(struct fz_portal *p, const char *resource, const char *const *gateways,
			     size_t gateways_len)
{
	struct fz_uuid id, list[GATEWAYS_MAX];

	if (p->role != PORTAL_ROLE_CLIENT || gateways_len > GATEWAYS_MAX || fz_uuid_parse(resource, &id) != 0)
		return FZ_ERR_INVAL;
	for (size_t i = 0; i < gateways_len; i++)
		if (fz_uuid_parse(gateways[i], &list[i]) != 0)
			return FZ_ERR_INVAL;
	return portal_send_request_authorization(p->core, &id, list, gateways_len);
}

int fz_portal_acknowledge(struct fz_portal *p, const char *ref)
{
	return p->role == PORTAL_ROLE_GATEWAY ? portal_send_authorization_created(p->core, ref)
					      : FZ_ERR_INVAL;
}

int fz_portal_request_relays(struct fz_portal *p)
{
	return portal_send_no_relays(p->core);
}

int fz_portal_send_candidates(struct fz_portal *p, const char *peer, const char *const *texts,
			      size_t texts_len, bool gone)
{
	enum portal_peer kind = p->role == PORTAL_ROLE_CLIENT ? PORTAL_PEER_GATEWAY : PORTAL_PEER_CLIENT;
	struct fz_uuid id;

	if (fz_uuid_parse(peer, &id) != 0 || texts_len > PORTAL_CANDIDATES_MAX)
		return FZ_ERR_INVAL;
	for (size_t i = 0; i < texts_len; i++)
		if (strncmp(texts[i], "candidate:", 10) != 0 || strlen(texts[i]) > PORTAL_CANDIDATE_LEN)
			return FZ_ERR_INVAL;
	return portal_send_candidates(p->core, gone ? PORTAL_CANDIDATES_INVALIDATE : PORTAL_CANDIDATES_ADD,
				      kind, &id, texts, texts_len);
}

int fz_portal_user_agent(const struct fz_portal_agent *agent, char *buf, size_t cap)
{
	struct fz_portal_agent a;
	int err = fz_opts_import(&a, sizeof(a), agent, agent->size);

	if (err)
		return err;
	if (a.os == NULL || a.os_version == NULL || a.component == NULL || a.version == NULL)
		return FZ_ERR_INVAL;
	struct portal_agent pa = { a.os, a.os_version, a.component, a.version, a.arch, a.kernel };
	return portal_user_agent(&pa, buf, cap);
}

int fz_portal_machine_id(enum fz_portal_role role, const void *machine_id, size_t len, char ret[65])
{
	return portal_device_id_of_machine(
		role == FZ_PORTAL_GATEWAY ? PORTAL_ROLE_GATEWAY : PORTAL_ROLE_CLIENT, machine_id, len, ret);
}
