/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include "api/handles.h"
#include "base/mem.h"
#include "fzconn/version.h"

static struct jv *platform_status(const struct fz_platform *p)
{
	struct fz_platform_stats s = { 0 };
	struct jv *v = jv_object(), *drops = jv_object();
	bool good = true;

	p->ops->stats(p->ctx, &s);
	good &= jv_set_u64(v, "udp_port4", p->ops->udp_port(p->ctx, FZ_FAMILY_INET));
	good &= jv_set_u64(v, "udp_port6", p->ops->udp_port(p->ctx, FZ_FAMILY_INET6));
	good &= jv_set_bool(v, "tun_offload", p->ops->tun_offload(p->ctx));
	good &= jv_set_u64(v, "tun_read", s.tun_read) && jv_set_u64(v, "tun_written", s.tun_written);
	good &= jv_set_u64(v, "udp_sent", s.udp_sent) && jv_set_u64(v, "udp_received", s.udp_received);
	good &= jv_set_u64(v, "udp_gso_fallbacks", s.udp_gso_fallbacks);
	good &= jv_set_u64(drops, "TUN: no IP packet", s.tun_read_bad);
	good &= jv_set_u64(drops, "TUN: write failed", s.tun_write_failed);
	good &= jv_set_u64(drops, "TUN: super-packet refused", s.tun_super_refused);
	good &= jv_set_u64(drops, "UDP: send failed", s.udp_send_failed);
	good &= jv_set_u64(drops, "UDP: receive failed", s.udp_recv_bad);
	good &= jv_set(v, "drops", drops);
	if (good)
		return v;
	jv_free(v);
	return NULL;
}

/* Servers outside of the tunnel; those that the role uses are put in by the role. */
static struct jv *system_dns(const struct fz_platform *p)
{
	struct fz_ip servers[16];
	size_t n = p->ops->dns_servers(p->ctx, servers, 16);
	char text[FZ_IP_STRLEN];
	struct jv *v = jv_array();

	for (size_t i = 0; i < n && i < 16; i++) {
		if (!jv_push_str(v, fz_ip_format(&servers[i], text))) {
			jv_free(v);
			return NULL;
		}
	}
	return v;
}

int status_text(const struct fz_env *env, struct jv *root, const struct fz_platform *platform, char **ret)
{
	bool good = jv_set_u64(root, "format", FZ_STATUS_FORMAT) && jv_set_str(root, "version", fz_version());

	if (platform)
		good &= jv_set(root, "platform", platform_status(platform)) &&
			jv_set(root, "dns_system", system_dns(platform));
	*ret = good ? jv_dump(env, root, NULL) : NULL;
	jv_free(root);
	return *ret ? 0 : FZ_ERR_NOMEM;
}

int fz_client_status(struct fz_client *c, uint64_t now_us, char **ret)
{
	return status_text(endpoint_env(client_endpoint_of(c)), client_status(client_of(c), now_us), NULL,
			   ret);
}

int fz_gateway_status(struct fz_gateway *g, uint64_t now_us, char **ret)
{
	return status_text(endpoint_env(gateway_endpoint_of(g)), gateway_status(gateway_of(g), now_us), NULL,
			   ret);
}

void fz_status_free(const struct fz_env *env, char *text)
{
	fz_free(env ? env : fz_env_default(), text);
}
