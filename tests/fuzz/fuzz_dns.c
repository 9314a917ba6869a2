/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as DNS messages: to the parsers, and to a stub resolver as a dialogue. The input is a list of
 * steps: a byte that says what happens, two of length, and the bytes themselves. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "core/dns_pattern.h"
#include "core/dns_stub.h"
#include "fzconn/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void check_name(const struct dns_name *n)
{
	char text[DNS_NAME_STRLEN], pattern[DNS_NAME_STRLEN];
	struct dns_name back;
	struct fz_ip ip;

	must(n->len > 0 && n->b[n->len - 1] == 0);
	must(dns_name_parse(dns_name_format(n, text), &back) == 0);
	must(back.len == n->len && memcmp(back.b, n->b, n->len) == 0);
	if (dns_name_to_ip(n, &ip)) {
		dns_name_from_ip(&ip, &back);
		must(dns_name_equal(&back, n));
	}
	strcpy(pattern, text);
	(void)dns_pattern_matches(pattern, n);
	must(dns_pattern_order(pattern, text) == 0);
}

static void check_reply(const struct dns_msg *q, const uint8_t *data, size_t len, size_t max)
{
	struct dns_msg m;

	must(len <= max && dns_parse_reply(data, len, &m) == 0 && m.id == q->id && dns_answers(&m, q));
}

static void parse(const uint8_t *data, size_t len)
{
	uint8_t buf[DNS_UDP_MIN];
	struct dns_record rr;
	struct dns_msg m;
	struct fz_ip ips[4] = { { .family = FZ_FAMILY_INET }, { .family = FZ_FAMILY_INET6 } };
	size_t at;

	if (dns_parse_query(data, len, &m) == 0) {
		check_name(&m.name);
		check_reply(&m, buf, dns_reply_empty(&m, DNS_SERVFAIL, buf, sizeof(buf)), sizeof(buf));
		check_reply(&m, buf, dns_reply_ips(&m, ips, 2, 1, buf, sizeof(buf)), sizeof(buf));
		check_reply(&m, buf, dns_reply_ptr(&m, &m.name, 1, buf, sizeof(buf)), sizeof(buf));
	} else if (dns_parse_reply(data, len, &m) != 0) {
		return;
	}
	at = m.answers_at;
	for (uint16_t i = 0; i < m.answers; i++) {
		must(dns_next_answer(&m, &at, &rr));
		must(rr.data_at + rr.data_len <= len && rr.ttl_at + 4 <= len);
	}
	must(at == m.answers_end && !dns_next_answer(&m, &at, &rr));
	(void)dns_edns(&m);
}

static void cut_down(const uint8_t *data, size_t len, size_t limit)
{
	uint8_t *copy = malloc(len + 1);

	if (copy == NULL)
		return;
	memcpy(copy, data, len);
	must(dns_truncate(copy, len, limit) <=
	     (len < DNS_HEADER_LEN || limit < DNS_HEADER_LEN ? len : limit));
	free(copy);
}

struct world {
	struct proxy_ips *ips;
	struct dns_stub *stub;
	uint64_t now_us, last_id;
	unsigned accepted, answered;
	uint64_t request;
};

static void drain(struct world *w)
{
	struct dns_out out;

	while (dns_stub_poll(w->stub, &out, w->now_us)) {
		if (out.type == DNS_OUT_EXCHANGE) {
			w->last_id = out.u.exchange.id;
			must(out.u.exchange.len >= DNS_HEADER_LEN && out.u.exchange.timeout_ms > 0);
		} else if (out.type == DNS_OUT_ANSWER) {
			struct dns_msg m;
			w->answered++;
			must(out.u.answer.len <=
			     (out.u.answer.origin.tcp ? DNS_MESSAGE_MAX : DNS_STUB_UDP_MAX));
			must(dns_parse_reply(out.u.answer.data, out.u.answer.len, &m) == 0);
		}
	}
}

static void query(struct world *w, bool tcp, const uint8_t *data, size_t len)
{
	static const struct fz_ip sentinel = { FZ_FAMILY_INET, { 100, 100, 111, 1 } };
	struct dns_origin o = { .sentinel = sentinel, .tcp = tcp, .request = ++w->request };

	if (!tcp)
		o.peer = (struct fz_addr){ .ip = sentinel, .port = (uint16_t)w->request };
	if (dns_stub_handle_query(w->stub, &o, data, len, w->now_us) == 0)
		w->accepted++;
}

/* An answer with the last query's id, so that it is taken for one. */
static void answer(struct world *w, const uint8_t *data, size_t len)
{
	dns_stub_handle_answer(w->stub, w->last_id, 0, data, len, w->now_us);
}

static void step(struct world *w, uint8_t what, const uint8_t *data, size_t len)
{
	struct fz_uuid id = { { what } };

	switch (what % 8) {
	case 0:
	case 1:
		query(w, what % 8 == 1, data, len);
		break;
	case 2:
	case 3:
		answer(w, data, len);
		break;
	case 4:
		dns_stub_handle_answer(w->stub, w->last_id, FZ_ERR_IO, NULL, 0, w->now_us);
		break;
	case 5:
		w->now_us += FZ_MS(700);
		dns_stub_handle_timeout(w->stub, w->now_us);
		break;
	case 6: {
		char text[64] = "";
		struct portal_resource r = { .type = what & 8 ? PORTAL_RESOURCE_DNS
							      : PORTAL_RESOURCE_DYNAMIC_POOL,
					     .id = id,
					     .name = "r",
					     .address = text };
		memcpy(text, data, len < 63 ? len : 63);
		dns_stub_remove_resource(w->stub, &id, w->now_us);
		(void)dns_stub_add_resource(w->stub, &r);
		break;
	}
	default:
		if (what & 8)
			dns_stub_defer(w->stub, w->last_id);
		else
			dns_stub_site_up(w->stub, &id, w->now_us);
		break;
	}
	drain(w);
}

static void add_known(struct world *w)
{
	struct fz_ip server = { FZ_FAMILY_INET, { 192, 0, 2, 1 } };
	struct portal_resource r = {
		.type = PORTAL_RESOURCE_DNS, .id = { { 6 } }, .name = "r", .address = "*.example.com"
	};

	dns_stub_set_system(w->stub, &server, 1, w->now_us);
	must(dns_stub_add_resource(w->stub, &r) == 0);
	r = (struct portal_resource){
		.type = PORTAL_RESOURCE_DYNAMIC_POOL, .id = { { 7 } }, .name = "p", .address = "*.pool"
	};
	must(dns_stub_add_resource(w->stub, &r) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fz_rd r = fz_rd_init(data, size);
	struct world w = { .now_us = FZ_SEC(1) };

	parse(data, size);
	cut_down(data, size, size / 2);
	if (proxy_ips_new(fz_env_default(), 1000, &w.ips) != 0)
		return 0;
	if (dns_stub_new(fz_env_default(), w.ips, &w.stub) == 0) {
		add_known(&w);
		while (fz_rd_left(&r) > 0) {
			uint8_t what = fz_rd_u8(&r);
			size_t len = fz_rd_be16(&r);
			struct fz_rd body = fz_rd_sub(&r, len < fz_rd_left(&r) ? len : fz_rd_left(&r));
			if (body.bad)
				break;
			parse(body.at, fz_rd_left(&body));
			cut_down(body.at, fz_rd_left(&body), DNS_UDP_MIN);
			step(&w, what, body.at, fz_rd_left(&body));
		}
		w.now_us += FZ_SEC(60); /* every query that was accepted has its answer by then */
		dns_stub_handle_timeout(w.stub, w.now_us);
		drain(&w);
		must(w.accepted == w.answered);
		dns_stub_free(w.stub);
	}
	proxy_ips_free(w.ips);
	return 0;
}
