/* SPDX-License-Identifier: Apache-2.0 */
/* What client and gateway know of themselves, as JSON. See fzconn/status.h. */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include "core/client.h"
#include "core/gateway.h"
#include "ext/json.h"

/* Rows of a table; the rest is counted. */
#define STATUS_ROWS_MAX 1024

/* NULL without memory. */
struct jv *client_status(const struct client *c, uint64_t now_us);
struct jv *gateway_status(const struct gateway *g, uint64_t now_us);

/* For the two above. Setters return false without memory. */
bool status_put_endpoint(struct jv *root, struct endpoint *e, uint64_t now_us);
bool status_set_ip(struct jv *object, const char *key, const struct fz_ip *ip);
bool status_set_uuid(struct jv *object, const char *key, const struct fz_uuid *id);
const char *status_resource_type(enum portal_resource_type type);
/* Row of a peer; the gateway adds its grants. */
struct jv *status_peer(const struct conn *c, uint64_t now_us);

#endif
