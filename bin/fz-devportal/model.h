/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal knows: settings, sites, devices, tokens, resources, relays, live grants. Rows live until
 * the end of the program or until they are removed; sessions and pending authorizations point to them. */
#ifndef DEVPORTAL_MODEL_H
#define DEVPORTAL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "derive.h"
#include "util.h"

#define NEVER_EXPIRES 2145916800 /* 2038-01-01T00:00:00Z, what the portal gives to gateways */

enum role { ROLE_CLIENT, ROLE_GATEWAY, ROLE_RELAY };
const char *role_name(enum role role);
bool role_parse(const char *text, enum role *ret);

struct session;

struct site {
	char *name, id[UUID_LEN + 1];
};

struct device {
	enum role role; /* client or gateway */
	char *name, *external_id, *hostname, id[UUID_LEN + 1];
	struct site *site; /* gateways */
	char ipv4[16], ipv6[46];
	uint8_t psk_base[32];
	char *actor, *actor_email, *actor_type;
	bool made_here; /* not configured: appeared with a token */
	struct session *session; /* the joined one, or NULL */
};

struct token {
	char *text;
	enum role role;
	struct device *device; /* whose it is, or NULL */
	struct site *site; /* for gateways that appear with it */
	char *actor;
	int64_t expires_at; /* unix seconds; 0 = never */
	bool revoked;
};

enum resource_type {
	RESOURCE_CIDR,
	RESOURCE_IP,
	RESOURCE_DNS,
	RESOURCE_INTERNET,
	RESOURCE_STATIC_POOL,
	RESOURCE_DYNAMIC_POOL
};

struct resource {
	enum resource_type type;
	char id[UUID_LEN + 1];
	struct site *site; /* NULL for pools */
	json_t *spec; /* as configured, owned */
};

enum relay_mode { RELAY_STATIC, RELAY_COTURN, RELAY_FIREZONE };

struct relay {
	enum relay_mode mode;
	char *name, id[UUID_LEN + 1];
	char *addrs[2]; /* second may be NULL */
	char *username, *password, *secret;
	json_t *devices; /* names; NULL = everybody */
	bool up;
	struct session *session; /* joined over the relay channel, else NULL */
};

struct grant {
	char id[UUID_LEN + 1], resource_id[UUID_LEN + 1];
	struct device *initiator, *responder;
	int64_t expires_at;
};

struct settings {
	char *account_id, *slug, *search_domain;
	json_t *upstream_do53, *upstream_doh; /* arrays of text */
	char *flow_api_url, *flow_key;
	int64_t upload_interval_secs, upload_batch_size;
	bool uploads_enabled;
	bool iceless; /* the account feature */
	bool accept_any_token, auto_devices, rate_limit, prefixed_pool_answers;
	int64_t authorization_timeout_ms, grant_lifetime_s, relay_debounce_ms, idle_timeout_s;
};

struct model {
	struct settings settings;
	struct vec sites, devices, tokens, resources, relays, grants;
	struct vec removed; /* devices that sessions may still point to */
};

void model_init(struct model *m);
void model_clear(struct model *m);

struct site *site_find(const struct model *m, const char *name_or_id);
struct device *device_find(const struct model *m, const char *name_or_id);
struct device *device_by_address(const struct model *m, const char *ip);
struct device *device_by_hostname(const struct model *m, const char *hostname);
struct device *device_by_external_id(const struct model *m, enum role role, const char *external_id);
struct token *token_find(const struct model *m, enum role role, const char *text);
struct resource *resource_find(const struct model *m, const char *name_or_id);
struct relay *relay_find(const struct model *m, const char *name_or_id);
struct grant *grant_find(const struct model *m, const struct device *initiator,
			 const struct device *responder, const char *resource_id);

/* A device that was not configured. The caller owns nothing; the model keeps it. */
struct device *device_make(struct model *m, const struct token *token, enum role role,
			   const char *external_id, const char *name);
/* Fill in what is missing: id, addresses, key base. False when the address range is exhausted. */
bool device_complete(struct model *m, struct device *d);

void site_free(void *site);
void device_free(void *device);
void token_free(void *token);
void resource_free(void *resource);
void relay_free(void *relay);

/* Live grants with this responder, as `authorizations` of an init message. Expired ones are forgotten. */
json_t *grants_of(struct model *m, const struct device *responder);

#endif
