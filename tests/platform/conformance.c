/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance test of platforms: what lib/core relies on. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "platform/vnet.h"
#include "rig.h"

#define OPS(p) ((p)->ops)
enum { BUF = FZ_PKT_HEADROOM + FZ_SUPER_MAX };

static uint8_t buf[BUF], text[70000];

static struct fz_ip ip(const char *s)
{
	struct fz_ip ret;

	ck_assert_int_eq(fz_ip_parse(s, &ret), 0);
	return ret;
}

/* Ends what would hang, and decides nothing else: a busy machine may take its time. */
static uint64_t patience(void)
{
	return OPS(&rig.a)->now_us(rig.a.ctx) + FZ_SEC(20);
}

static bool is_late(uint64_t end)
{
	return OPS(&rig.a)->now_us(rig.a.ctx) >= end;
}

/* A moment of both sides; what is ready. */
static uint32_t look(struct fz_platform *p)
{
	uint32_t ready = 0;

	ck_assert_int_eq(OPS(p)->wait(p->ctx, OPS(p)->now_us(p->ctx) + 20000, &ready), 0);
	rig_server_step();
	rig_pass(20000);
	return ready;
}

/* Until one of the bits is there; the bits found, 0 = it took too long. News of the network that nobody waits
 * for are taken, since else no wait would wait any more. */
static uint32_t await(struct fz_platform *p, uint32_t bits)
{
	for (uint64_t end = patience(); !is_late(end);) {
		uint32_t ready = look(p);
		if (ready & bits)
			return ready;
		while (OPS(p)->net_event(p->ctx) > 0)
			;
	}
	return 0;
}

static void open_tun(void)
{
	const struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest" };
	const struct fz_prefix route = { .ip = ip("10.9.0.0"), .len = 24 };
	const struct fz_netcfg cfg = {
		.ipv4 = ip(RIG_TUN4), .ipv6 = ip(RIG_TUN6), .routes = &route, .routes_len = 1
	};

	ck_assert_int_eq(OPS(&rig.a)->tun_open(rig.a.ctx, &o), 0);
	ck_assert_int_eq(OPS(&rig.a)->net_apply(rig.a.ctx, &cfg), 0);
	ck_assert_uint_eq(rig_collect(text, sizeof(text)), 0); /* from here on the kernel's side listens */
}

/* The next packet from the tunnel that is UDP over IPv4 to RIG_FAR4. */
static bool read_tun(struct fz_pkt *pkt)
{
	const struct fz_ip far = ip(RIG_FAR4);

	for (uint64_t end = patience(); !is_late(end);) {
		int n;
		while ((n = OPS(&rig.a)->tun_read(rig.a.ctx, buf, sizeof(buf), pkt)) == 1)
			if (pkt->data[0] == 0x45 && memcmp(pkt->data + 16, far.b, 4) == 0)
				return true;
		ck_assert_int_eq(n, 0);
		await(&rig.a, FZ_READY_TUN);
	}
	return false;
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Sum of the UDP datagram and its pseudo-header: 0xffff when its checksum is right. */
static unsigned udp_sum(const struct fz_pkt *pkt)
{
	uint32_t sum = 17 + (uint32_t)(pkt->len - 20);

	for (size_t i = 12; i < pkt->len; i++)
		sum += i % 2 ? pkt->data[i] : (uint32_t)pkt->data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A UDP packet from RIG_FAR4 to RIG_TUN4 in buf, checksum left to the device. */
static struct fz_pkt make_packet(size_t payload, uint16_t seg)
{
	uint8_t *d = buf + FZ_PKT_HEADROOM;
	size_t len = 28 + payload;
	const struct fz_ip far = ip(RIG_FAR4), near = ip(RIG_TUN4);
	const uint8_t head[28] = { 0x45,
				   0,
				   (uint8_t)(len >> 8),
				   (uint8_t)len,
				   0,
				   1,
				   0x40,
				   0,
				   64,
				   17,
				   0,
				   0,
				   far.b[0],
				   far.b[1],
				   far.b[2],
				   far.b[3],
				   near.b[0],
				   near.b[1],
				   near.b[2],
				   near.b[3],
				   RIG_FAR_PORT >> 8,
				   RIG_FAR_PORT,
				   RIG_NEAR_PORT >> 8,
				   RIG_NEAR_PORT & 0xff,
				   (uint8_t)((len - 20) >> 8),
				   (uint8_t)(len - 20),
				   0,
				   0 };
	uint32_t sum = 0;

	memcpy(d, head, 28);
	for (int i = 0; i < 20; i += 2)
		sum += be16(d + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	d[10] = (uint8_t)(sum >> 8);
	d[11] = (uint8_t)sum;
	for (size_t i = 0; i < payload; i++)
		d[28 + i] = (uint8_t)(i * 7);
	sum = 17 + (uint32_t)(len - 20);
	for (int i = 12; i < 20; i += 2)
		sum += be16(d + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	d[26] = (uint8_t)(sum >> 8);
	d[27] = (uint8_t)sum;
	return (struct fz_pkt){ .data = d,
				.len = len,
				.needs_csum = 1,
				.csum_start = 20,
				.csum_offset = 6,
				.gso = seg ? FZ_GSO_UDP : FZ_GSO_NONE,
				.gso_size = seg };
}

static size_t collect(void)
{
	static uint8_t own[BUF];
	struct fz_pkt pkt;
	size_t n = 0;

	for (uint64_t end = patience(); n == 0 && !is_late(end);) {
		n = rig_collect(text, sizeof(text));
		if (n > 0)
			break;
		look(&rig.a);
		while (OPS(&rig.a)->tun_read(rig.a.ctx, own, sizeof(own), &pkt) == 1)
			; /* the kernel's own, which would be ready again and again */
	}
	return n;
}

START_TEST(clock_does_not_run_backwards)
{
	uint64_t t = OPS(&rig.a)->now_us(rig.a.ctx);

	rig_pass(5000);
	ck_assert_uint_ge(OPS(&rig.a)->now_us(rig.a.ctx), t);
	ck_assert_uint_gt(OPS(&rig.a)->unix_ns(rig.a.ctx), UINT64_C(1600000000000000000));
}
END_TEST

START_TEST(nothing_ready_is_no_bits)
{
	uint32_t ready = 99;

	ck_assert_int_eq(OPS(&rig.a)->wait(rig.a.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready, 0);
	ck_assert_int_eq(OPS(&rig.a)->net_event(rig.a.ctx), 0);
	ck_assert_uint_eq(OPS(&rig.a)->udp_port(rig.a.ctx, FZ_FAMILY_INET), 0);
}
END_TEST

static void open_udp(void)
{
	ck_assert_int_eq(OPS(&rig.a)->udp_open(rig.a.ctx, FZ_UDP_PORT), 0);
	ck_assert_int_eq(OPS(&rig.b)->udp_open(rig.b.ctx, FZ_UDP_PORT), 0);
}

static struct fz_addr addr_of(struct fz_platform *p, const struct fz_ip *addr)
{
	return (struct fz_addr){ .ip = *addr, .port = OPS(p)->udp_port(p->ctx, addr->family) };
}

/* a sends, b receives all of it, split into batches as it likes. */
static void exchange(const struct fz_ip *from, const struct fz_ip *to, bool pin, size_t len, uint16_t seg,
		     uint8_t ecn)
{
	struct fz_addr src = addr_of(&rig.a, from), dst = addr_of(&rig.b, to);
	struct fz_udp_batch b = { .remote = dst, .data = buf, .len = len, .seg_len = seg, .ecn = ecn },
			    got[4];
	size_t have = 0, segs = 0;

	if (pin)
		b.local = src;
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 31 + i / 256);
	int err;
	while ((err = OPS(&rig.a)->udp_send(rig.a.ctx, &b)) ==
	       FZ_ERR_AGAIN) /* the system is slow to deliver */
		ck_assert(await(&rig.a, FZ_READY_UDP_SEND));
	ck_assert_int_eq(err, 0);
	ck_assert_uint_eq(b.len, 0);
	while (have < len) {
		if (!await(&rig.b, FZ_READY_UDP))
			break;
		int n;
		while ((n = OPS(&rig.b)->udp_recv(rig.b.ctx, got, 4)) > 0) {
			for (int i = 0; i < n; i++) {
				if (pin) /* else the system has chosen */
					ck_assert(fz_ip_equal(&got[i].remote.ip, &src.ip));
				ck_assert_uint_eq(got[i].remote.port, src.port);
				ck_assert(fz_addr_equal(&got[i].local, &dst));
				ck_assert_uint_eq(got[i].ecn, ecn);
				ck_assert_uint_le(got[i].seg_len, seg);
				ck_assert_uint_le(have + got[i].len, len);
				ck_assert_int_eq(memcmp(got[i].data, buf + have, got[i].len), 0);
				segs += (got[i].len + got[i].seg_len - 1) / got[i].seg_len;
				have += got[i].len;
			}
		}
		ck_assert_int_eq(n, 0);
	}
	ck_assert_uint_eq(have, len);
	ck_assert_uint_eq(segs, (len + seg - 1) / seg);
}

START_TEST(udp_carries_batches)
{
	open_udp();
	exchange(&rig.a4, &rig.b4, true, 100, 100, 0);
	exchange(&rig.a4, &rig.b4, true, 1312 * 40 + 5, 1312, 0);
	exchange(&rig.a4, &rig.b4, false, 1, 1, 2);
	exchange(&rig.a4, &rig.b4, true, 48 * 64, 48, 3);
	exchange(&rig.a4, &rig.b4, true, 65000, 1000,
		 1); /* 65 segments: more than old kernels take at once */
	exchange(&rig.a6, &rig.b6, true, 1316 * 49, 1316, 1);
	exchange(&rig.a6, &rig.b6, false, 200, 200, 0);
	struct fz_platform_stats st;
	OPS(&rig.a)->stats(rig.a.ctx, &st);
	ck_assert_uint_eq(st.udp_sent, 1 + 41 + 1 + 64 + 65 + 49 + 1);
	ck_assert_uint_eq(st.udp_send_failed, 0);
	OPS(&rig.b)->stats(rig.b.ctx, &st);
	ck_assert_uint_eq(st.udp_received, 1 + 41 + 1 + 64 + 65 + 49 + 1);
}
END_TEST

START_TEST(udp_refuses_nonsense)
{
	struct fz_udp_batch b = { .data = buf, .len = 10, .seg_len = 10 };

	b.remote = (struct fz_addr){ .ip = rig.b4, .port = 9 };
	ck_assert_int_eq(OPS(&rig.a)->udp_send(rig.a.ctx, &b), FZ_ERR_STATE); /* not open */
	open_udp();
	b.local.ip = rig.a6;
	ck_assert_int_eq(OPS(&rig.a)->udp_send(rig.a.ctx, &b), FZ_ERR_INVAL);
	b.local.ip = ip("192.0.2.77"); /* not ours: only this batch fails */
	ck_assert_int_eq(OPS(&rig.a)->udp_send(rig.a.ctx, &b), FZ_ERR_IO);
	b = (struct fz_udp_batch){
		.data = buf, .len = 20, .seg_len = 10, .remote = b.remote, .local = b.local
	};
	ck_assert_int_eq(OPS(&rig.a)->udp_send(rig.a.ctx, &b), FZ_ERR_IO);
	exchange(&rig.a4, &rig.b4, true, 3000, 1000, 0);
	struct fz_platform_stats st;
	OPS(&rig.a)->stats(rig.a.ctx, &st);
	ck_assert_uint_eq(st.udp_send_failed, 3);
	ck_assert_uint_eq(st.udp_gso_fallbacks, 0); /* a bad source is no reason to give up segmentation */
}
END_TEST

START_TEST(udp_reopens)
{
	open_udp();
	exchange(&rig.a4, &rig.b4, true, 10, 10, 0);
	open_udp();
	exchange(&rig.a4, &rig.b4, true, 10, 10, 0);
	OPS(&rig.a)->udp_close(rig.a.ctx);
	ck_assert_uint_eq(OPS(&rig.a)->udp_port(rig.a.ctx, FZ_FAMILY_INET), 0);
	OPS(&rig.a)->udp_close(rig.a.ctx);
}
END_TEST

START_TEST(tun_reads_packets)
{
	struct fz_pkt pkt;

	open_tun();
	memset(text, 'x', 500);
	rig_feed(text, 500, 500);
	ck_assert(read_tun(&pkt));
	ck_assert_ptr_eq(pkt.data, buf + FZ_PKT_HEADROOM);
	ck_assert_uint_eq(pkt.len, 528);
	ck_assert_uint_eq(pkt.gso, FZ_GSO_NONE);
	ck_assert_int_eq(memcmp(pkt.data + 28, text, 500), 0);
	if (pkt.needs_csum)
		ck_assert_int_eq(vnet_complete_csum(&pkt), 0);
	ck_assert_uint_eq(udp_sum(&pkt), 0xffff);
}
END_TEST

START_TEST(tun_reads_super_packets)
{
	struct fz_pkt pkt;
	size_t got = 0;

	open_tun();
	for (size_t i = 0; i < 10500; i++)
		text[i] = (uint8_t)(i * 13);
	rig_feed(text, 10500, 1000);
	if (OPS(&rig.a)->tun_offload(rig.a.ctx)) {
		ck_assert(read_tun(&pkt));
		ck_assert_uint_eq(pkt.gso, FZ_GSO_UDP);
		ck_assert_uint_eq(pkt.gso_size, 1000);
		ck_assert_uint_eq(pkt.len, 10528);
		ck_assert_uint_eq(pkt.needs_csum, 1);
		ck_assert_uint_eq(pkt.csum_start, 20);
		ck_assert_uint_eq(pkt.csum_offset, 6);
		ck_assert_int_eq(memcmp(pkt.data + 28, text, 10500), 0);
		return;
	}
	while (got < 10500) { /* the kernel has cut it */
		ck_assert(read_tun(&pkt));
		ck_assert_uint_eq(pkt.gso, FZ_GSO_NONE);
		ck_assert_int_eq(memcmp(pkt.data + 28, text + got, pkt.len - 28), 0);
		ck_assert_uint_eq(udp_sum(&pkt), 0xffff);
		got += pkt.len - 28;
	}
}
END_TEST

START_TEST(tun_writes_packets)
{
	struct fz_pkt pkt;

	open_tun();
	pkt = make_packet(700, 0);
	ck_assert_int_eq(OPS(&rig.a)->tun_write(rig.a.ctx, &pkt), 0);
	ck_assert_uint_eq(collect(), 700);
	for (size_t i = 0; i < 700; i++)
		ck_assert_uint_eq(text[i], (uint8_t)(i * 7));
	pkt = make_packet(10, 0);
	pkt.data[26] ^= 0x55; /* checksum wrong, said to be complete: the kernel drops it */
	pkt.needs_csum = 0;
	ck_assert_int_eq(OPS(&rig.a)->tun_write(rig.a.ctx, &pkt), 0);
	pkt = make_packet(11, 0); /* odd length */
	ck_assert_int_eq(OPS(&rig.a)->tun_write(rig.a.ctx, &pkt), 0);
	ck_assert_uint_eq(collect(), 11);
}
END_TEST

START_TEST(tun_writes_super_packets)
{
	struct fz_pkt pkt;
	size_t got = 0, n;

	open_tun();
	pkt = make_packet(5200, 1000);
	int err = OPS(&rig.a)->tun_write(rig.a.ctx, &pkt);
	if (!OPS(&rig.a)->tun_offload(rig.a.ctx)) {
		ck_assert_int_eq(err, FZ_ERR_UNSUPPORTED);
		return;
	}
	ck_assert_int_eq(err, 0);
	while (got < 5200) {
		n = collect();
		ck_assert_uint_gt(n, 0);
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(text[i], (uint8_t)((got + i) * 7));
		got += n;
	}
	ck_assert_uint_eq(got, 5200);
}
END_TEST

START_TEST(tun_facts_are_checked)
{
	struct fz_pkt pkt;

	open_tun();
	pkt = make_packet(100, 0);
	pkt.csum_start = 200;
	int err = OPS(&rig.a)->tun_write(rig.a.ctx, &pkt);
	ck_assert(err == FZ_ERR_INVAL || err == 0); /* where the facts are not used they may be anything */
	ck_assert_int_eq(OPS(&rig.a)->tun_read(rig.a.ctx, buf, 1000, &pkt), FZ_ERR_NOSPACE);
}
END_TEST

START_TEST(tun_opens_once)
{
	const struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest" };
	struct fz_pkt pkt = make_packet(10, 0);

	ck_assert_int_eq(OPS(&rig.a)->tun_write(rig.a.ctx, &pkt), FZ_ERR_DEAD);
	ck_assert_int_eq(OPS(&rig.a)->tun_read(rig.a.ctx, buf, sizeof(buf), &pkt), FZ_ERR_DEAD);
	open_tun();
	ck_assert_int_eq(OPS(&rig.a)->tun_open(rig.a.ctx, &o), FZ_ERR_STATE);
	OPS(&rig.a)->net_clear(rig.a.ctx);
	OPS(&rig.a)->tun_close(rig.a.ctx);
	OPS(&rig.a)->tun_close(rig.a.ctx);
	open_tun();
}
END_TEST

START_TEST(readiness_is_level_triggered)
{
	struct fz_udp_batch got;

	open_udp();
	struct fz_udp_batch b = { .remote = addr_of(&rig.b, &rig.b4), .data = buf, .len = 10, .seg_len = 10 };
	ck_assert_int_eq(OPS(&rig.a)->udp_send(rig.a.ctx, &b), 0);
	ck_assert_uint_eq(await(&rig.b, FZ_READY_UDP) & FZ_READY_UDP, FZ_READY_UDP);
	ck_assert_uint_eq(await(&rig.b, FZ_READY_UDP) & FZ_READY_UDP, FZ_READY_UDP);
	ck_assert_int_eq(OPS(&rig.b)->udp_recv(rig.b.ctx, &got, 1), 1);
	ck_assert_int_eq(OPS(&rig.b)->udp_recv(rig.b.ctx, &got, 1), 0);
	uint32_t ready;
	ck_assert_int_eq(OPS(&rig.b)->wait(rig.b.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready & FZ_READY_UDP, 0);
}
END_TEST

static enum fz_stream_state settle(struct fz_stream *s)
{
	for (uint64_t end = patience();
	     OPS(&rig.a)->stream_state(rig.a.ctx, s) == FZ_STREAM_CONNECTING && !is_late(end);)
		await(&rig.a, FZ_READY_STREAM);
	return OPS(&rig.a)->stream_state(rig.a.ctx, s);
}

static int stream_read(struct fz_stream *s)
{
	int n = FZ_ERR_AGAIN;

	for (uint64_t end = patience(); n == FZ_ERR_AGAIN && !is_late(end);) {
		rig_server_step();
		n = OPS(&rig.a)->stream_recv(rig.a.ctx, s, text, sizeof(text));
		if (n == FZ_ERR_AGAIN)
			await(&rig.a, FZ_READY_STREAM);
	}
	return n;
}

START_TEST(streams_carry_bytes)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = RIG_SERVER, .port = RIG_SERVER_PORT };
	struct fz_stream *s;

	rig_server_open();
	ck_assert_int_eq(OPS(&rig.a)->stream_open(rig.a.ctx, &o, &s), 0);
	ck_assert_int_eq(settle(s), FZ_STREAM_OPEN);
	ck_assert_int_eq(OPS(&rig.a)->stream_recv(rig.a.ctx, s, text, 10), FZ_ERR_AGAIN);
	ck_assert_int_eq(OPS(&rig.a)->stream_send(rig.a.ctx, s, "hello", 5), 5);
	ck_assert_int_eq(stream_read(s), 5);
	ck_assert_int_eq(memcmp(text, "hello", 5), 0);
	rig_server_hangup();
	ck_assert_int_eq(stream_read(s), 0);
	OPS(&rig.a)->stream_close(rig.a.ctx, s);
}
END_TEST

START_TEST(streams_push_back)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = RIG_SERVER, .port = RIG_SERVER_PORT };
	struct fz_stream *s;
	size_t sent = 0, back = 0;
	int n;

	rig_server_open();
	ck_assert_int_eq(OPS(&rig.a)->stream_open(rig.a.ctx, &o, &s), 0);
	ck_assert_int_eq(settle(s), FZ_STREAM_OPEN);
	memset(text, 'x', sizeof(text));
	while ((n = OPS(&rig.a)->stream_send(rig.a.ctx, s, text, 65536)) > 0 && sent < 64u << 20)
		sent += (size_t)n;
	ck_assert_int_eq(n, FZ_ERR_AGAIN);
	while (back < sent) { /* the server sends back, so it takes, so there is room again */
		n = stream_read(s);
		ck_assert_int_gt(n, 0);
		back += (size_t)n;
	}
	ck_assert_uint_eq(back, sent);
	ck_assert_int_eq(OPS(&rig.a)->stream_send(rig.a.ctx, s, text, 1), 1);
	OPS(&rig.a)->stream_close(rig.a.ctx, s);
}
END_TEST

START_TEST(streams_fail_with_a_reason)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = RIG_SERVER, .port = RIG_CLOSED_PORT };
	struct fz_stream *s;

	ck_assert_int_eq(OPS(&rig.a)->stream_open(rig.a.ctx, &o, &s), 0);
	ck_assert_int_eq(settle(s), FZ_STREAM_FAILED);
	ck_assert_uint_gt(strlen(OPS(&rig.a)->stream_error(rig.a.ctx, s)), 0);
	OPS(&rig.a)->stream_close(rig.a.ctx, s);
}
END_TEST

START_TEST(streams_left_open_are_closed)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = RIG_SERVER, .port = RIG_SERVER_PORT };
	struct fz_stream *s;

	rig_server_open();
	ck_assert_int_eq(OPS(&rig.a)->stream_open(rig.a.ctx, &o, &s), 0);
}
END_TEST

/* The wake-up may come before the wait, and none is reported twice. */
START_TEST(wake_ends_a_wait)
{
	uint32_t ready = 0;

	OPS(&rig.a)->wake(rig.a.ctx);
	OPS(&rig.a)->wake(rig.a.ctx);
	ck_assert_int_eq(OPS(&rig.a)->wait(rig.a.ctx, FZ_NEVER_US, &ready), 0);
	ck_assert_uint_eq(ready & FZ_READY_WAKE, FZ_READY_WAKE);
	ck_assert_int_eq(OPS(&rig.a)->wait(rig.a.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready & FZ_READY_WAKE, 0);
}
END_TEST

START_TEST(network_changes_are_told)
{
	rig_change_network();
	ck_assert(await(&rig.a, FZ_READY_NET));
	ck_assert_int_eq(OPS(&rig.a)->net_event(rig.a.ctx), FZ_NET_CHANGED);
	ck_assert_int_eq(OPS(&rig.a)->net_event(rig.a.ctx), 0);
}
END_TEST

START_TEST(own_tunnel_is_no_change)
{
	uint32_t ready;

	/* The rig itself may still be settling on a busy machine: begin when nothing has changed for a while.
	 */
	for (int quiet = 0; quiet < 100; quiet++)
		if (look(&rig.a) & FZ_READY_NET)
			while (OPS(&rig.a)->net_event(rig.a.ctx) > 0)
				quiet = 0;
	open_tun();
	for (int i = 0; i < 40; i++) {
		ck_assert_int_eq(OPS(&rig.a)->wait(rig.a.ctx, OPS(&rig.a)->now_us(rig.a.ctx) + 20000, &ready),
				 0);
		ck_assert_uint_eq(ready & FZ_READY_NET, 0);
		struct fz_pkt pkt;
		while (OPS(&rig.a)->tun_read(rig.a.ctx, buf, sizeof(buf), &pkt) == 1)
			;
	}
}
END_TEST

START_TEST(lost_tunnel_is_told)
{
	open_tun();
	rig_delete_tun();
	ck_assert(await(&rig.a, FZ_READY_NET));
	ck_assert_int_eq(OPS(&rig.a)->net_event(rig.a.ctx), FZ_NET_TUN_LOST);
	OPS(&rig.a)->net_clear(rig.a.ctx);
	OPS(&rig.a)->tun_close(rig.a.ctx);
	open_tun();
}
END_TEST

static void set_up(void)
{
	rig_open(true);
}

static void set_up_plain(void)
{
	rig_open(false);
}

/* ---- files ---- */

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static unsigned list_dir(const char *path, const char *wanted)
{
	char name[FZ_NAME_LEN];
	struct fz_dir *d;
	uint64_t changed_s;
	unsigned n = 0;

	ck_assert_int_eq(OPS(&rig.a)->dir_open(rig.a.ctx, path, &d, &changed_s), 0);
	ck_assert_uint_le(changed_s, OPS(&rig.a)->unix_ns(rig.a.ctx) / 1000000000u + 1);
	ck_assert_uint_ge(changed_s + 100, OPS(&rig.a)->unix_ns(rig.a.ctx) / 1000000000u);
	while (OPS(&rig.a)->dir_next(rig.a.ctx, d, name)) {
		ck_assert_str_ne(name, "..");
		n += strcmp(name, wanted) == 0 ? 100 : 1;
	}
	OPS(&rig.a)->dir_close(rig.a.ctx, d);
	return n;
}

START_TEST(files_are_kept)
{
	const struct fz_platform_ops *ops = OPS(&rig.a);
	void *p = rig.a.ctx;
	char got[16];
	struct fz_dir *d;
	uint64_t changed_s;

	snprintf(dir, sizeof(dir), "/tmp/fzconn-files-%d", (int)getpid());
	ck_assert_int_eq(ops->file_write(p, in_dir("a"), "x", 1), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(ops->dir_open(p, dir, &d, &changed_s), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(ops->dir_make(p, in_dir("sub")), 0);
	ck_assert_int_eq(ops->dir_make(p, in_dir("sub")), 0);
	ck_assert_int_eq(ops->file_read(p, in_dir("a"), got, sizeof(got)), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(ops->file_write(p, in_dir("a"), "first, longer", 13), 0);
	ck_assert_int_eq(ops->file_write(p, in_dir("a"), "second", 6), 0);
	ck_assert_int_eq(ops->file_read(p, in_dir("a"), got, 6), 6);
	ck_assert_mem_eq(got, "second", 6);
	ck_assert_int_eq(ops->file_read(p, in_dir("a"), got, 5), FZ_ERR_NOSPACE);
	ck_assert_int_eq(ops->file_read(p, in_dir("sub"), got, sizeof(got)), FZ_ERR_IO);
	ck_assert_int_eq(ops->file_write(p, in_dir("empty"), "", 0), 0);
	ck_assert_int_eq(ops->file_read(p, in_dir("empty"), got, sizeof(got)), 0);
	ck_assert_uint_eq(list_dir(dir, "empty"), 102); /* and nothing temporary */
	ck_assert_uint_eq(list_dir(in_dir("sub"), "x"), 0);
	ck_assert_int_eq(ops->file_remove(p, dir), FZ_ERR_STATE);
	ck_assert_int_eq(ops->file_remove(p, in_dir("a")), 0);
	ck_assert_int_eq(ops->file_remove(p, in_dir("a")), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(ops->file_remove(p, in_dir("empty")), 0);
	ck_assert_int_eq(ops->file_remove(p, in_dir("sub")), 0);
	ck_assert_int_eq(ops->file_remove(p, dir), 0);
}
END_TEST

static TCase *group(Suite *s, const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, rig_close);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
	return tc;
}

Suite *unit_suite(void)
{
	const TTest *const both[] = { udp_carries_batches,     udp_refuses_nonsense, tun_reads_packets,
				      tun_reads_super_packets, tun_writes_packets,   tun_writes_super_packets,
				      tun_facts_are_checked };
	const TTest *const once[] = { clock_does_not_run_backwards,
				      nothing_ready_is_no_bits,
				      udp_reopens,
				      tun_opens_once,
				      readiness_is_level_triggered,
				      streams_carry_bytes,
				      streams_push_back,
				      streams_fail_with_a_reason,
				      streams_left_open_are_closed,
				      wake_ends_a_wait,
				      network_changes_are_told,
				      own_tunnel_is_no_change,
				      lost_tunnel_is_told,
				      files_are_kept };
	Suite *s = suite_create("platform");

	rig_probe();
	TCase *with = group(s, "offloads", set_up), *without = group(s, "batches of one", set_up_plain);
	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		tcase_add_test(with, both[i]);
		tcase_add_test(without, both[i]);
	}
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		tcase_add_test(with, once[i]);
	return s;
}
