/* SPDX-License-Identifier: Apache-2.0 */
/* Typed events of the control plane: what the portal pushes to a client or gateway, decoded and checked.
 *
 * Keys that nobody knows are ignored. A malformed resource of a list, or one of an unknown type, is left out
 * and counted; a malformed candidate likewise. Anything else that is missing or does not parse spoils the
 * whole message (portal_event_decode() says what it was): acting on half of an init would revoke or grant by
 * accident.
 *
 * All pointers of an event live until portal_event_clear(); lists may be NULL when their length is 0. Texts
 * are valid UTF-8 without NUL. Secrets are among them: the memory is wiped on release, and none of this is
 * logged. */
#ifndef WIRE_PORTAL_EVENTS_H
#define WIRE_PORTAL_EVENTS_H

#include "base/arena.h"
#include "base/secret.h"
#include "base/text.h"
#include "fzconn/addr.h"

struct phx_msg;

enum portal_role { PORTAL_ROLE_CLIENT, PORTAL_ROLE_GATEWAY };
/* Who the other end of a connection is: a client talks to gateways and to other clients, a gateway to
 * clients. */
enum portal_peer { PORTAL_PEER_GATEWAY, PORTAL_PEER_CLIENT };

/* More candidates in one message are left out and counted in `skipped`. */
#define PORTAL_CANDIDATES_MAX 64
/* Longest candidate text. */
#define PORTAL_CANDIDATE_LEN 511

/* One TURN server. Neighbouring entries of the same id are one relay with an address of each family and the
 * credentials of the later entry; port 0 / family none = no address of that family. The realm is "firezone"
 * for Firezone's own relays and comes from the server otherwise. */
struct portal_relay {
	struct fz_uuid id;
	struct fz_addr ipv4, ipv6;
	const char *username, *password;
	uint64_t expires_at; /* unix s, informative; 0 = not given */
};

enum portal_proto { PORTAL_PROTO_TCP, PORTAL_PROTO_UDP, PORTAL_PROTO_ICMP };
/* Ports from start to end, both inclusive, start <= end; 0 and 65535 for ICMP. No filter at all = everything.
 */
struct portal_filter {
	enum portal_proto proto;
	uint16_t start, end;
};

struct portal_site {
	struct fz_uuid id;
	const char *name;
};

/* A member of a static device pool. */
struct portal_device {
	struct fz_uuid client_id;
	struct fz_prefix ipv4, ipv6;
};

enum portal_resource_type {
	PORTAL_RESOURCE_DNS,
	PORTAL_RESOURCE_CIDR,
	PORTAL_RESOURCE_INTERNET,
	PORTAL_RESOURCE_STATIC_POOL,
	PORTAL_RESOURCE_DYNAMIC_POOL
};
enum portal_ip_stack { PORTAL_STACK_DUAL, PORTAL_STACK_IPV4_ONLY, PORTAL_STACK_IPV6_ONLY };

/* A resource as a client or a gateway sees it. A gateway gets no site, no ip_stack and no pool. */
struct portal_resource {
	enum portal_resource_type type;
	struct fz_uuid id;
	const char *name; /* never NULL; "Internet Resource" where the portal sends none */
	const char *address; /* dns, dynamic pool: pattern; cidr: text of net; else NULL */
	const char *address_description; /* may be NULL */
	struct fz_prefix net; /* cidr only */
	enum portal_ip_stack ip_stack;
	const struct portal_site *sites;
	size_t sites_len;
	const struct portal_filter *filters;
	size_t filters_len;
	const struct portal_device *devices; /* static pool only */
	size_t devices_len;
};

/* Addresses of this device and what its DNS shall use. Only addresses for a gateway. */
struct portal_interface {
	struct fz_ip ipv4, ipv6;
	const char *search_domain; /* NULL = none */
	const struct fz_ip *upstream_do53; /* with the legacy list merged in where do53 is empty */
	size_t upstream_do53_len;
	const char *const *upstream_doh; /* https URLs */
	size_t upstream_doh_len;
};

/* A live grant: at a gateway, or (device pool) inbound at a client. */
struct portal_authorization {
	struct fz_uuid client_id, resource_id;
	uint64_t expires_at; /* unix s */
};

struct portal_flow_logs {
	const char *api_url;
	uint64_t upload_interval_secs; /* 0 = uploads off */
	uint64_t upload_batch_size; /* 0 = default */
};

struct portal_ice_cred {
	const char *username, *password;
};

/* First message after each join, and again when the addresses of the device change. */
struct portal_init {
	struct portal_interface interface;
	const struct portal_resource *resources; /* client */
	size_t resources_len;
	uint32_t resources_skipped; /* malformed or of an unknown type */
	const struct portal_relay *relays;
	size_t relays_len;
	const struct portal_authorization *authorizations; /* complete list: what is not in it is revoked */
	size_t authorizations_len;
	struct portal_flow_logs flow_logs;
	const char *account_slug; /* gateway; NULL = not given */
};

struct portal_relays_presence {
	const struct fz_uuid *disconnected; /* to be removed; all others known stay */
	size_t disconnected_len;
	const struct portal_relay *connected; /* to be added or replaced */
	size_t connected_len;
};

/* To the client: the gateway knows of us and expects the connection. */
struct portal_authz_created {
	struct fz_uuid resource_id, gateway_id, site_id;
	struct fz_key gateway_key, preshared_key;
	struct fz_ip gateway_ipv4, gateway_ipv6;
	struct portal_ice_cred client_ice, gateway_ice; /* ours, theirs */
	bool use_iceless;
	const char *flow_token;
};

enum portal_reason {
	PORTAL_REASON_UNKNOWN, /* a word of a newer portal */
	PORTAL_REASON_NOT_FOUND,
	PORTAL_REASON_OFFLINE,
	PORTAL_REASON_VERSION_MISMATCH,
	PORTAL_REASON_FORBIDDEN,
	PORTAL_REASON_DISABLED,
	PORTAL_REASON_AMBIGUOUS_ADDRESS,
	PORTAL_REASON_MISSING_ADDRESS,
	PORTAL_REASON_INVALID_ADDRESS
};

/* The portal's word for it, "unknown" for one that we do not know; static. */
const char *portal_reason_word(enum portal_reason reason);

struct portal_authz_failed {
	struct fz_uuid resource_id;
	enum portal_reason reason;
	const char *reason_text; /* as sent */
	const char *const *violated_properties; /* as sent */
	size_t violated_properties_len;
};

/* To the gateway: let this client in. Acknowledge with `ref` before the first candidate. */
struct portal_create_authz {
	const char *ref;
	struct fz_uuid client_id;
	struct fz_key client_key, preshared_key;
	struct fz_ip client_ipv4, client_ipv6;
	const char *client_version; /* may be NULL */
	struct portal_resource resource;
	struct portal_ice_cred client_ice, gateway_ice; /* theirs, ours */
	bool has_expiry;
	uint64_t expires_at; /* unix s */
	bool use_iceless;
	const char *flow_token;
};

/* Candidates to add or to forget. */
struct portal_candidates {
	enum portal_peer peer;
	struct fz_uuid id;
	const char *const *texts; /* each begins with "candidate:"; not parsed further here */
	size_t texts_len;
	uint32_t skipped;
};

/* To both clients of a device-pool connection. */
struct portal_device_access {
	struct fz_uuid client_id;
	const char *client_name;
	struct fz_key client_key, preshared_key;
	struct fz_ip client_ipv4, client_ipv6;
	struct portal_ice_cred local_ice, remote_ice;
	bool controlling; /* our ICE role */
	bool use_iceless;
	bool has_resource; /* we are the target: the grant is for resource_id with these filters */
	struct fz_uuid resource_id;
	const struct portal_filter *filters;
	size_t filters_len;
	bool has_expiry;
	uint64_t expires_at;
	const char *flow_token;
};

struct portal_device_denied {
	bool has_client_id, has_resource_id;
	struct fz_uuid client_id, resource_id;
	struct fz_ip ipv4, ipv6; /* family none = not given */
	enum portal_reason reason;
	const char *reason_text;
};

struct portal_pool_domain {
	struct fz_uuid resource_id;
	const char *domain;
	struct fz_ip ipv4, ipv6; /* resolved only */
	const char *reason_text; /* failed only */
};

/* Event -> member of the union; `id` stands alone where the payload is only an id. */
enum portal_event_type {
	PORTAL_EVENT_INIT, /* init */
	PORTAL_EVENT_CONFIG_CHANGED, /* config (client) */
	PORTAL_EVENT_RESOURCE_UPSERTED, /* resource (client: created or updated; gateway: filters updated) */
	PORTAL_EVENT_RESOURCE_DELETED, /* id (client) */
	PORTAL_EVENT_RESOURCE_IGNORED, /* nothing: a resource of an unknown type or a malformed one (client)
					*/
	PORTAL_EVENT_RELAYS_PRESENCE, /* relays */
	PORTAL_EVENT_AUTHZ_CREATED, /* authz_created (client) */
	PORTAL_EVENT_AUTHZ_FAILED, /* authz_failed (client) */
	PORTAL_EVENT_CREATE_AUTHZ, /* create_authz (gateway) */
	PORTAL_EVENT_CANDIDATES_ADDED, /* candidates */
	PORTAL_EVENT_CANDIDATES_REMOVED, /* candidates */
	PORTAL_EVENT_DEVICE_ACCESS, /* device_access (client) */
	PORTAL_EVENT_DEVICE_DENIED, /* device_denied (client) */
	PORTAL_EVENT_DEVICE_OFFLINE, /* id of the client (client) */
	PORTAL_EVENT_POOL_DOMAIN_RESOLVED, /* pool_domain (client) */
	PORTAL_EVENT_POOL_DOMAIN_FAILED, /* pool_domain (client) */
	PORTAL_EVENT_FILTERS_UPDATED, /* resource: only id and filters (client, inbound grants) */
	PORTAL_EVENT_ACCESS_REJECTED, /* authorization without expiry */
	PORTAL_EVENT_EXPIRY_UPDATED /* authorization: obsolete, nothing to do */
};

struct portal_event {
	enum portal_event_type type;
	union {
		struct portal_init init;
		struct portal_interface config;
		struct portal_resource resource;
		struct fz_uuid id;
		struct portal_relays_presence relays;
		struct portal_authz_created authz_created;
		struct portal_authz_failed authz_failed;
		struct portal_create_authz create_authz;
		struct portal_candidates candidates;
		struct portal_device_access device_access;
		struct portal_device_denied device_denied;
		struct portal_pool_domain pool_domain;
		struct portal_authorization authorization;
	} u;
	struct fz_arena arena; /* owns everything that the pointers lead to */
};

/* Decode a push. FZ_ERR_NOT_MINE: no event of this role (unknown, or framing: phx_*, disconnect).
 * FZ_ERR_WIRE: the message must be dropped, *ret_reason (static text) says what was wrong.
 * FZ_ERR_NOMEM: tear the connection down, or state and portal disagree. ret is untouched on failure. */
int portal_event_decode(const struct fz_env *env, enum portal_role role, const struct phx_msg *msg,
			struct portal_event *ret, const char **ret_reason);
/* Wipes and frees; a zeroed event is fine. */
void portal_event_clear(const struct fz_env *env, struct portal_event *ev);

#endif
