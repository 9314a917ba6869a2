/* SPDX-License-Identifier: Apache-2.0 */
#include "api/endpoint_opts.h"

#include "base/log.h"

int endpoint_opts_check(const struct fz_env *env, const char *token, const char *id, const char *name)
{
	const char *missing = token == NULL ? "token" : id == NULL ? "id" : name == NULL ? "name" : NULL;

	if (missing == NULL)
		return 0;
	fz_error(env, "options", "the %s is missing", missing);
	return FZ_ERR_INVAL;
}

bool endpoint_counter(struct endpoint *e, size_t i, const char **ret_name, uint64_t *ret_value)
{
	const struct node_stats *n = node_stats(endpoint_node(e));
	const struct endpoint_stats *s = endpoint_stats(e);
	const struct flow_stats *f = &endpoint_flows(e)->stats;
	const struct {
		const char *name;
		uint64_t value;
	} plain[] = {
		{ "packets sent", n->tx_packets },
		{ "bytes sent", n->tx_bytes },
		{ "packets received", n->rx_packets },
		{ "bytes received", n->rx_bytes },
		{ "reads from the TUN", s->tun_in },
		{ "writes to the TUN", s->tun_out },
		{ "peers", node_conns(endpoint_node(e)) },
		{ "relays", node_relays(endpoint_node(e))->len },
		{ "flows opened", f->opened },
		{ "flows closed", f->closed },
		{ "flows not tracked", f->untracked },
		{ "changes of path not in a flow", f->outers_lost },
		{ "flow reports kept", f->spooled },
		{ "flow reports lost", f->lost },
		{ "flow reports damaged", f->corrupt },
		{ "flow reports uploaded", f->uploaded },
		{ "failed flow uploads", f->upload_errors },
	};
	const size_t n_plain = sizeof(plain) / sizeof(plain[0]);

	if (i < n_plain) {
		*ret_name = plain[i].name;
		*ret_value = plain[i].value;
		return true;
	}
	i -= n_plain;
	if (i < NODE_DROPS) {
		*ret_name = node_drop_name((enum node_drop)i);
		*ret_value = n->drops[i];
		return true;
	}
	i -= NODE_DROPS;
	if (i < ENDPOINT_DROPS) {
		*ret_name = endpoint_drop_name((enum endpoint_drop)i);
		*ret_value = s->drops[i];
		return true;
	}
	i -= ENDPOINT_DROPS;
	if (i < IP_REASONS) {
		*ret_name = ip_reason_text((enum ip_reason)i);
		*ret_value = s->reasons[i];
		return true;
	}
	return false;
}
