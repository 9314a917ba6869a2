/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/path.h"

#include <stdio.h>

#include "proto/ice_agent.h"
#include "proto/ice_check.h"
#include "proto/pa_agent.h"

int path_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us)
{
	switch (opts->kind) {
	case PATH_ICE:
		return ice_agent_new(env, opts, ret, now_us);
	case PATH_ICELESS:
		return pa_agent_new(env, opts, ret, now_us);
	}
	return FZ_ERR_INVAL;
}

int path_stun_peek(const void *data, size_t len, struct path_stun_key *ret)
{
	struct path_stun_key key = { 0 };
	struct stun_msg m;

	if (stun_decode(data, len, &m) != 0 || m.method != STUN_BINDING || m.cls == STUN_INDICATION)
		return FZ_ERR_NOT_MINE;
	key.is_request = m.cls == STUN_REQUEST;
	if (key.is_request && m.username.p == NULL)
		return FZ_ERR_NOT_MINE;
	if (key.is_request) {
		key.username = (const char *)m.username.p;
		key.username_len = m.username.len;
	} else {
		key.tag = ice_txid_tag(&m.txid);
	}
	*ret = key;
	return 0;
}

int path_username(const struct path_opts *opts, char *buf, size_t cap)
{
	int n = snprintf(buf, cap, "%s:%s", opts->local_ufrag, opts->remote_ufrag);

	return n >= 0 && (size_t)n < cap ? n : FZ_ERR_NOSPACE;
}
