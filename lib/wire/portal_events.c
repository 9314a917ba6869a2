/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/portal_events.h"

#include <string.h>

#include "base/secret.h"
#include "fzconn/error.h"
#include "wire/phx.h"
#include "wire/portal_rd.h"

static const struct portal_event_rule *find_rule(enum portal_role role, const char *name)
{
	const struct portal_event_rule *rule =
		role == PORTAL_ROLE_CLIENT ? portal_client_rules : portal_gateway_rules;

	while (rule->name && strcmp(rule->name, name) != 0)
		rule++;
	return rule->name ? rule : NULL;
}

int portal_event_decode(const struct fz_env *env, enum portal_role role, const struct phx_msg *msg,
			struct portal_event *ret, const char **ret_reason)
{
	const struct portal_event_rule *rule = find_rule(role, msg->event);
	struct portal_event ev = { 0 };
	struct portal_rd r = { env, &ev.arena, NULL, false };

	if (rule == NULL) {
		*ret_reason = "event";
		return FZ_ERR_NOT_MINE;
	}
	ev.type = rule->type;
	rule->read(&r, msg->payload, &ev);
	if (portal_rd_ok(&r)) {
		*ret = ev;
		fz_wipe(&ev, sizeof(ev));
		return 0;
	}
	*ret_reason = r.nomem ? "memory" : r.bad;
	portal_event_clear(env, &ev);
	return r.nomem ? FZ_ERR_NOMEM : FZ_ERR_WIRE;
}

void portal_event_clear(const struct fz_env *env, struct portal_event *ev)
{
	fz_arena_clear(env, &ev->arena);
	fz_wipe(ev, sizeof(*ev));
}
