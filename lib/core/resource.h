/* SPDX-License-Identifier: Apache-2.0 */
/* The client's resources: what the portal lists, which gateway serves each, and what waits for access. */
#ifndef CORE_RESOURCE_H
#define CORE_RESOURCE_H

#include "base/map.h"
#include "base/text.h"
#include "core/filter.h"
#include "core/pending.h"
#include "core/route.h"
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
	char *name, *address; /* never NULL, may be empty */
	struct fz_prefix net; /* cidr */
	struct filter *filter;
	enum portal_ip_stack ip_stack;
	struct fz_uuid *sites;
	size_t sites_len;

	struct gateway_peer *gateway; /* serves it; NULL = no access yet */
	struct pending waiting; /* packets that wait for access; no slots = none */
	bool asked; /* for access, and neither granted nor gone */
	bool listed; /* mark of on_init() */
	uint64_t asked_us; /* last request for access */
	struct fz_map_link link;
};

struct resources {
	const struct fz_env *env;
	struct fz_map by_id;
	struct resource **v; /* in no particular order */
	size_t len, cap;
	struct route_table *cidr; /* tag: the resource */
};

int resources_init(struct resources *r, const struct fz_env *env);
void resources_clear(struct resources *r);
struct resource *resources_find(const struct resources *r, const struct fz_uuid *id);
/* Same kind, address, sites and filters: only the name may differ. */
bool resource_matches(const struct fz_env *env, const struct resource *r, const struct portal_resource *p);
/* FZ_ERR_FULL, FZ_ERR_NOMEM, FZ_ERR_INVAL (filter). */
int resources_add(struct resources *r, const struct portal_resource *p, struct resource **ret);
/* Keep a packet until access is granted. Returns how many packets were dropped instead. */
uint64_t resource_wait(struct resources *r, struct resource *res, struct fz_pkt *pkt,
		       const struct ip_view *view);
int resource_rename(struct resources *r, struct resource *res, const char *name);
void resources_remove(struct resources *r, struct resource *res);

#endif
