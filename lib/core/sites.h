/* SPDX-License-Identifier: Apache-2.0 */
/* The sites whose gateways serve a client's resources, and whether they do. Shown to people, never asked when
 * a packet is routed. A site lives as long as somebody holds a reference. */
#ifndef CORE_SITES_H
#define CORE_SITES_H

#include "base/text.h"
#include "fzconn/env.h"

/* What the portal said of a site holds for so long. */
#define SITE_OFFLINE_US 300000000u

struct site {
	struct site *next;
	struct fz_uuid id;
	char *name;
	size_t refs;
	unsigned up; /* gateways that we are connected to */
	bool offline; /* the portal knows no gateway of it; not while one is up */
	uint64_t offline_us; /* since */
};

struct sites {
	const struct fz_env *env;
	struct site *first;
	uint64_t next_us; /* the first offline mark ends, or FZ_NEVER_US */
};

void sites_init(struct sites *s, const struct fz_env *env);
struct site *sites_find(const struct sites *s, const struct fz_uuid *id);
/* A reference to this site, which takes over the name (NULL = keep it). NULL without memory. */
struct site *sites_ref(struct sites *s, const struct fz_uuid *id, const char *name);
void sites_unref(struct sites *s, struct site *site); /* NULL is fine */

void sites_set_offline(struct sites *s, struct site *site, uint64_t now_us);
/* A gateway was connected, or is not any more. */
void sites_gateway_up(struct site *site);
void sites_gateway_down(struct site *site);
/* Marks that have run out; true: some did. */
bool sites_handle_timeout(struct sites *s, uint64_t now_us);

#endif
