/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "rig.h"

struct rig rig;
static struct unit_env env;
static struct fz_memnet *net;
static struct fz_stream *server;
static bool listening;

void rig_probe(void)
{
}

static bool accept_stream(void *ctx, struct fz_stream *s, const struct fz_stream_opts *o)
{
	(void)ctx;
	if (!listening || o->port != RIG_SERVER_PORT)
		return false;
	server = s;
	return true;
}

void rig_open(bool offload)
{
	unit_env_init(&env, 1);
	ck_assert_int_eq(fz_memnet_new(&env.env, &net), 0);
	fz_memnet_set_offload(net, offload);
	fz_memnet_set_accept(net, accept_stream, NULL);
	ck_assert_int_eq(fz_ip_parse("192.0.2.1", &rig.a4) | fz_ip_parse("192.0.2.2", &rig.b4), 0);
	ck_assert_int_eq(fz_ip_parse("2001:db8::1", &rig.a6) | fz_ip_parse("2001:db8::2", &rig.b6), 0);
	ck_assert_int_eq(fz_memnet_host(net, &rig.a4, &rig.a6, &rig.a), 0);
	ck_assert_int_eq(fz_memnet_host(net, &rig.b4, &rig.b6, &rig.b), 0);
}

void rig_close(void)
{
	fz_platform_free(&rig.a); /* b goes with the network */
	fz_memnet_free(net);
	unit_env_check(&env);
}

void rig_pass(uint64_t us)
{
	fz_memnet_advance(net, us);
}

void rig_feed(const uint8_t *payload, size_t len, uint16_t seg)
{
	static uint8_t d[70000];
	struct fz_ip near, far;
	bool super = len > seg && rig.a.ops->tun_offload(rig.a.ctx);

	ck_assert_int_eq(fz_ip_parse(RIG_TUN4, &near) | fz_ip_parse(RIG_FAR4, &far), 0);
	for (size_t at = 0; at < len;) {
		size_t n = super ? len : len - at < seg ? len - at : seg;
		struct fz_pkt pkt = { .data = d, .len = 28 + n };
		uint32_t sum = 17 + 2 * (uint32_t)(8 + n) + RIG_NEAR_PORT + RIG_FAR_PORT;
		memset(d, 0, 28);
		d[0] = 0x45;
		d[9] = 17;
		memcpy(d + 12, near.b, 4);
		memcpy(d + 16, far.b, 4);
		d[20] = RIG_NEAR_PORT >> 8;
		d[21] = RIG_NEAR_PORT & 0xff;
		d[23] = RIG_FAR_PORT;
		d[24] = (uint8_t)((8 + n) >> 8);
		d[25] = (uint8_t)(8 + n);
		memcpy(d + 28, payload + at, n);
		if (super) {
			pkt.gso = FZ_GSO_UDP;
			pkt.gso_size = seg;
			pkt.needs_csum = 1;
			pkt.csum_start = 20;
			pkt.csum_offset = 6;
		} else {
			for (size_t i = 12; i < 20; i += 2)
				sum += (uint32_t)d[i] << 8 | d[i + 1];
			for (size_t i = 0; i < n; i++)
				sum += i % 2 ? d[28 + i] : (uint32_t)d[28 + i] << 8;
			while (sum >> 16)
				sum = (sum & 0xffff) + (sum >> 16);
			d[26] = (uint8_t)(~sum >> 8);
			d[27] = (uint8_t)~sum;
		}
		ck_assert_int_eq(fz_memnet_tun_put(&rig.a, &pkt), 0);
		at += n;
	}
}

/* As a kernel would: wrong checksums are dropped. */
size_t rig_collect(uint8_t *buf, size_t cap)
{
	struct fz_pkt pkt;

	while (fz_memnet_tun_take(&rig.a, &pkt)) {
		uint32_t sum = 17 + (uint32_t)(pkt.len - 20);
		for (size_t i = 12; i < pkt.len; i++)
			sum += i % 2 ? pkt.data[i] : (uint32_t)pkt.data[i] << 8;
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		if (!pkt.needs_csum && sum != 0xffff)
			continue;
		ck_assert_uint_le(pkt.len - 28, cap);
		memcpy(buf, pkt.data + 28, pkt.len - 28);
		return pkt.len - 28;
	}
	return 0;
}

void rig_server_open(void)
{
	listening = true;
}

void rig_server_step(void)
{
	uint8_t data[65536];
	int n;

	while (server != NULL && (n = fz_memnet_stream_take(server, data, sizeof(data))) != 0) {
		if (n < 0)
			server = NULL;
		else if (fz_memnet_stream_put(server, data, (size_t)n) < 0)
			ck_abort_msg("no room");
	}
}

void rig_server_hangup(void)
{
	fz_memnet_stream_hangup(server);
}

void rig_change_network(void)
{
	fz_memnet_net_event(&rig.a, FZ_NET_CHANGED);
}

void rig_delete_tun(void)
{
	fz_memnet_net_event(&rig.a, FZ_NET_TUN_LOST);
}
