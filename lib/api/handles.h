/* SPDX-License-Identifier: Apache-2.0 */
/* The public handles are the core's objects under another name. */
#ifndef API_HANDLES_H
#define API_HANDLES_H

#include "core/client.h"
#include "core/gateway.h"
#include "fzconn/client.h"
#include "fzconn/gateway.h"

static inline struct fz_client *client_handle(struct client *c)
{
	return (struct fz_client *)c;
}

static inline struct client *client_of(struct fz_client *c)
{
	return (struct client *)c;
}

static inline struct endpoint *client_endpoint_of(const struct fz_client *c)
{
	return client_endpoint((const struct client *)c);
}

static inline struct fz_gateway *gateway_handle(struct gateway *g)
{
	return (struct fz_gateway *)g;
}

static inline struct gateway *gateway_of(struct fz_gateway *g)
{
	return (struct gateway *)g;
}

static inline struct endpoint *gateway_endpoint_of(const struct fz_gateway *g)
{
	return gateway_endpoint((const struct gateway *)g);
}

#endif
