/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_rig.h"

#include "base/time.h"
#include "base/wr.h"

struct fz_uuid rig_id(unsigned i)
{
	struct fz_uuid id = { { 0 } };

	id.b[14] = (uint8_t)(i >> 8);
	id.b[15] = (uint8_t)i;
	return id;
}

struct fz_ip rig_ip(const char *text)
{
	struct fz_ip ip;

	ck_assert_msg(fz_ip_parse(text, &ip) == 0, "%s", text);
	return ip;
}

void rig_init(struct rig *r, size_t servers)
{
	struct fz_ip v[DNS_SERVERS_MAX];

	memset(r, 0, sizeof(*r));
	unit_env_init(&r->u, 1);
	r->now_us = FZ_SEC(1000);
	ck_assert_int_eq(proxy_ips_new(&r->u.env, PROXY_DOMAINS_MAX, &r->ips), 0);
	ck_assert_int_eq(dns_stub_new(&r->u.env, r->ips, &r->stub), 0);
	for (size_t i = 0; i < servers; i++) {
		v[i] = rig_ip("192.0.2.0");
		v[i].b[3] = (uint8_t)(1 + i);
	}
	ck_assert_int_eq(dns_stub_set_system(r->stub, v, servers, r->now_us), servers > 0);
	rig_want_nothing(r);
}

void rig_clear(struct rig *r)
{
	dns_stub_free(r->stub);
	proxy_ips_free(r->ips);
	unit_env_check(&r->u);
}

void rig_resource(struct rig *r, unsigned id, const char *pattern, enum portal_ip_stack stack)
{
	struct portal_resource p = { .type = PORTAL_RESOURCE_DNS,
				     .id = rig_id(id),
				     .name = "test",
				     .address = pattern,
				     .ip_stack = stack };

	dns_stub_remove_resource(r->stub, &p.id, r->now_us);
	ck_assert_int_eq(dns_stub_add_resource(r->stub, &p), 0);
}

void rig_pool(struct rig *r, unsigned id, const char *pattern)
{
	struct portal_resource p = {
		.type = PORTAL_RESOURCE_DYNAMIC_POOL, .id = rig_id(id), .name = "test", .address = pattern
	};

	ck_assert_int_eq(dns_stub_add_resource(r->stub, &p), 0);
}

size_t rig_message(uint8_t *buf, uint16_t id, uint16_t flags, const char *name, unsigned type)
{
	struct fz_wr w = fz_wr_init(buf, DNS_MESSAGE_MAX);
	struct dns_name n;

	ck_assert_msg(dns_name_parse(name, &n) == 0, "%s", name);
	fz_wr_be16(&w, id);
	fz_wr_be16(&w, flags);
	fz_wr_be16(&w, 1);
	fz_wr_zero(&w, 6);
	fz_wr_bytes(&w, n.b, n.len);
	fz_wr_be16(&w, (uint16_t)type);
	fz_wr_be16(&w, DNS_CLASS_IN);
	return fz_wr_len(&w);
}

size_t rig_add_opt(uint8_t *buf, size_t len, uint16_t udp_size, bool dnssec_ok)
{
	struct fz_wr w = fz_wr_init(buf + len, DNS_MESSAGE_MAX - len);

	fz_put_be16(buf + 10, (uint16_t)(fz_get_be16(buf + 10) + 1));
	fz_wr_u8(&w, 0);
	fz_wr_be16(&w, DNS_OPT);
	fz_wr_be16(&w, udp_size);
	fz_wr_be32(&w, dnssec_ok ? 0x8000 : 0);
	fz_wr_be16(&w, 0);
	return len + fz_wr_len(&w);
}

size_t rig_add_answer(uint8_t *buf, size_t len, unsigned type, uint32_t ttl, const void *data,
		      size_t data_len)
{
	struct fz_wr w = fz_wr_init(buf + len, DNS_MESSAGE_MAX - len);

	fz_put_be16(buf + 6, (uint16_t)(fz_get_be16(buf + 6) + 1));
	fz_wr_be16(&w, 0xc00c);
	fz_wr_be16(&w, (uint16_t)type);
	fz_wr_be16(&w, DNS_CLASS_IN);
	fz_wr_be32(&w, ttl);
	fz_wr_be16(&w, (uint16_t)data_len);
	fz_wr_bytes(&w, data, data_len);
	ck_assert(!w.bad);
	return len + fz_wr_len(&w);
}

struct dns_origin rig_origin(const char *sentinel, uint16_t port, bool tcp)
{
	struct dns_origin o = { .sentinel = rig_ip(sentinel), .tcp = tcp, .request = tcp };

	if (!tcp)
		o.peer = (struct fz_addr){ .ip = rig_ip("100.64.0.1"), .port = port };
	return o;
}

static void ask(struct rig *r, const char *name, unsigned type, bool tcp)
{
	struct dns_origin o = rig_origin("100.100.111.1", 50000, tcp);

	r->query_len = rig_message(r->query, 0x1234, DNS_RD, name, type);
	ck_assert_int_eq(dns_stub_handle_query(r->stub, &o, r->query, r->query_len, r->now_us), 0);
}

void rig_ask(struct rig *r, const char *name, unsigned type)
{
	ask(r, name, type, false);
}

void rig_ask_tcp(struct rig *r, const char *name, unsigned type)
{
	ask(r, name, type, true);
}

void rig_want(struct rig *r, enum dns_out_type type)
{
	ck_assert_msg(dns_stub_poll(r->stub, &r->out, r->now_us), "there is no output of type %d", type);
	ck_assert_int_eq(r->out.type, type);
}

void rig_want_nothing(struct rig *r)
{
	if (dns_stub_poll(r->stub, &r->out, r->now_us))
		ck_abort_msg("there is an output of type %d", r->out.type);
}

struct dns_msg rig_want_answer(struct rig *r, int rcode, unsigned answers)
{
	struct dns_msg m;

	rig_want(r, DNS_OUT_ANSWER);
	ck_assert_int_eq(dns_parse_reply(r->out.u.answer.data, r->out.u.answer.len, &m), 0);
	ck_assert_uint_eq(m.flags & DNS_RCODE, rcode);
	ck_assert_uint_eq(m.answers, answers);
	return m;
}

uint64_t rig_want_exchange(struct rig *r, enum dns_path path, const char *server)
{
	char text[FZ_IP_STRLEN];

	rig_want(r, DNS_OUT_EXCHANGE);
	ck_assert_int_eq(r->out.u.exchange.path, path);
	if (server && r->out.u.exchange.url)
		ck_assert_str_eq(r->out.u.exchange.url, server);
	else if (server)
		ck_assert_str_eq(fz_ip_format(&r->out.u.exchange.server.ip, text), server);
	r->query_len = r->out.u.exchange.len;
	memcpy(r->query, r->out.u.exchange.data, r->query_len);
	return r->out.u.exchange.id;
}

void rig_reply(struct rig *r, uint64_t id, unsigned n, uint32_t ttl)
{
	static uint8_t buf[DNS_MESSAGE_MAX];
	struct dns_msg q;
	size_t len;

	ck_assert_int_eq(dns_parse_query(r->query, r->query_len, &q), 0);
	len = q.answers_at;
	memcpy(buf, r->query, len);
	fz_put_be16(buf + 2, DNS_QR | DNS_AA | DNS_RD | DNS_RA);
	fz_put_be16(buf + 10, 0);
	for (unsigned i = 0; i < n; i++) {
		uint8_t ip[16] = { 203, 0, (uint8_t)(i >> 8), (uint8_t)i };
		len = rig_add_answer(buf, len, q.type, ttl, ip, q.type == DNS_AAAA ? 16 : 4);
	}
	dns_stub_handle_answer(r->stub, id, 0, buf, len, r->now_us);
}

void rig_error(struct rig *r, uint64_t id, int err)
{
	dns_stub_handle_answer(r->stub, id, err, NULL, 0, r->now_us);
}

void rig_sleep(struct rig *r, uint64_t us)
{
	r->now_us += us;
	if (dns_stub_next_timeout(r->stub) <= r->now_us)
		dns_stub_handle_timeout(r->stub, r->now_us);
}
