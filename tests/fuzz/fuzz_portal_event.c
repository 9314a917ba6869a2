/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a portal may push, to a client and to a gateway: decoded with memory that ends at some
 * allocation too. */
#include <stdlib.h>
#include <string.h>

#include "fzconn/error.h"
#include "wire/phx.h"
#include "wire/portal_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static long left;

static void *few(void *ctx, size_t len)
{
	(void)ctx;
	return left-- > 0 ? malloc(len) : NULL;
}

static void *few_again(void *ctx, void *p, size_t len)
{
	(void)ctx;
	return left-- > 0 ? realloc(p, len) : NULL;
}

static void release(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static void check_texts(const struct portal_event *ev)
{
	if (ev->type == PORTAL_EVENT_INIT) {
		const struct portal_init *init = &ev->u.init;
		must(init->interface.ipv4.family == FZ_FAMILY_INET &&
		     init->interface.ipv6.family == FZ_FAMILY_INET6);
		must(init->flow_logs.api_url != NULL);
		for (size_t i = 0; i < init->resources_len; i++)
			must(init->resources[i].name != NULL);
		for (size_t i = 0; i < init->relays_len; i++)
			must(init->relays[i].username && init->relays[i].password &&
			     (init->relays[i].ipv4.port || init->relays[i].ipv6.port || 1));
	}
	if (ev->type == PORTAL_EVENT_CANDIDATES_ADDED || ev->type == PORTAL_EVENT_CANDIDATES_REMOVED) {
		must(ev->u.candidates.texts_len <= PORTAL_CANDIDATES_MAX);
		for (size_t i = 0; i < ev->u.candidates.texts_len; i++)
			must(strncmp(ev->u.candidates.texts[i], "candidate:", 10) == 0);
	}
	if (ev->type == PORTAL_EVENT_CREATE_AUTHZ) {
		must(ev->u.create_authz.ref && ev->u.create_authz.flow_token &&
		     ev->u.create_authz.client_ice.username);
		for (size_t i = 0; i < ev->u.create_authz.resource.filters_len; i++)
			must(ev->u.create_authz.resource.filters[i].start <=
			     ev->u.create_authz.resource.filters[i].end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fz_env env = { .mem = { few, few_again, release, NULL } };
	static const struct {
		enum portal_role role;
		long memory;
	} runs[] = {
		{ PORTAL_ROLE_CLIENT, 1000000 },
		{ PORTAL_ROLE_GATEWAY, 1000000 },
		{ PORTAL_ROLE_CLIENT, 1 },
	};
	struct phx_msg m = { 0 };
	const char *reason = NULL;

	if (phx_decode((const char *)data, size, &m, &reason) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct portal_event ev = { 0 };
		left = runs[i].memory;
		reason = NULL;
		int err = portal_event_decode(&env, runs[i].role, &m, &ev, &reason);
		must(err == 0 || (reason != NULL && ev.arena.last == NULL));
		must(err != FZ_ERR_NOMEM || runs[i].memory == 1);
		if (err == 0)
			check_texts(&ev);
		portal_event_clear(&env, &ev);
	}
	phx_msg_clear(&m);
	return 0;
}
