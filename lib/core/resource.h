/* SPDX-License-Identifier: Apache-2.0 */
/* The client's resources: what the portal lists, which of them a packet belongs to, which gateway serves
 * each, and what waits for access. */
#ifndef CORE_RESOURCE_H
#define CORE_RESOURCE_H

#include "base/map.h"
#include "base/text.h"
#include "core/filter.h"
#include "core/pending.h"
#include "core/proxy_ips.h"
#include "core/route.h"
#include "core/sites.h"
#include "wire/portal_events.h"

/* Resources with packets that wait for access at one time: 128 packets each. The one that has waited longest
 * makes room. */
#define RESOURCES_WAITING_MAX 64

/* More resources than this are ignored, with a warning. */
#define RESOURCES_MAX 65536

struct gateway_peer;

struct resource {
	struct fz_uuid id;
	enum portal_resource_type type;
	char *name, *address, *description; /* never NULL, may be empty */
	struct fz_prefix net; /* cidr */
	struct filter *filter;
	enum portal_ip_stack ip_stack;
	struct site **sites;
	size_t sites_len;

	struct gateway_peer *gateway; /* serves it; NULL = no access yet */
	bool was_served;
	struct fz_uuid last_gateway; /* that served it last */
	struct pending waiting; /* packets that wait for access; no slots = none */
	uint64_t waiting_us; /* since */
	bool asked; /* for access, and neither granted nor refused nor gone */
	bool refused; /* the last answer was no, for this reason */
	enum portal_reason reason, told; /* told to the host; PORTAL_REASON_UNKNOWN = none */
	bool is_told;
	bool listed; /* mark of on_init() */
	uint64_t asked_us; /* last request for access */
	uint64_t doubted_us; /* last request because the gateway refused packets */
	unsigned doubts; /* such requests in a row */
	struct fz_map_link link;
};

struct resources {
	const struct fz_env *env;
	struct fz_map by_id;
	struct resource **v; /* sorted for people by resources_sort(), else in no particular order */
	size_t len, cap;
	bool unsorted;
	struct route_table *cidr; /* tag: the resource */
	struct proxy_ips *proxies; /* borrowed: which name a proxy address stands for */
	struct sites sites;
	struct resource *internet; /* the one that is used: that of the lowest id; NULL = there is none */
	bool internet_on; /* the user wants it */
	struct resource *waiters[RESOURCES_WAITING_MAX]; /* those with a ring */
	size_t waiters_len;
};

/* @proxies is borrowed. FZ_ERR_NOMEM. */
int resources_init(struct resources *r, const struct fz_env *env, struct proxy_ips *proxies);
void resources_clear(struct resources *r);
struct resource *resources_find(const struct resources *r, const struct fz_uuid *id);
/* Same kind, address, sites and filters: only the name may differ. */
bool resource_matches(const struct fz_env *env, const struct resource *r, const struct portal_resource *p);
/* FZ_ERR_FULL, FZ_ERR_NOMEM, FZ_ERR_INVAL (filter). */
int resources_add(struct resources *r, const struct portal_resource *p, struct resource **ret);
/* Does a DNS resource give addresses of this family to its names? */
bool resource_has_family(const struct resource *res, uint8_t family);

/* What a packet belongs to. */
struct choice {
	struct resource *res; /* NULL = to nothing */
	struct proxy_domain
		*domain; /* the name that the address stands for, if the resource is one of names */
	bool permitted; /* by the filter */
	bool wrong_family; /* nothing, because its names have only addresses of the other family */
};
/* Resources of names come first, then networks, then the Internet resource for everything outside of our own
 * ranges. Within a kind all that cover the address compete: the filter that permits wins, then the more
 * specific pattern or the longer prefix, then the greater id. */
struct choice resources_choose(const struct resources *r, const struct fz_ip *dst, uint8_t kind,
			       uint16_t port);
/* May a gateway send from this proxy address? It must serve a resource of the name. */
bool resources_serves_proxy(const struct resources *r, const struct gateway_peer *g, const struct fz_ip *src);

/* The Internet resource first, then by name and id. */
void resources_sort(struct resources *r);

/* Keep a packet until access is granted. Returns how many packets were dropped instead. */
uint64_t resource_wait(struct resources *r, struct resource *res, struct fz_pkt *pkt,
		       const struct ip_view *view, uint64_t now_us);
/* Take its ring: the packets are the caller's. */
struct pending resource_take_waiting(struct resources *r, struct resource *res);
/* Names, of its sites as well, may change without notice to anybody. FZ_ERR_NOMEM: some have not. */
int resource_rename(struct resources *r, struct resource *res, const struct portal_resource *p);
void resources_remove(struct resources *r, struct resource *res);

#endif
