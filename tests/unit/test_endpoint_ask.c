/* SPDX-License-Identifier: Apache-2.0 */
/* What a role asks of its host: queue, copies, listeners, results; and the driver that serves it. */
#include "unit.h"

#include <stdio.h>

#include "api/handles.h"
#include "core/endpoint.h"
#include "fzconn/run.h"
#include "portal_host.h"

struct role {
	unsigned answers, requests, listen_failed, resolved, http, system_dns;
	uint64_t last_id;
	int last_err;
	size_t last_len;
};

static struct unit_env u;
static struct endpoint *e;
static struct role role;

static void on_message(void *r, const struct portal_event *ev, uint64_t now_us)
{
	(void)r, (void)ev, (void)now_us;
}

static void on_node_event(void *r, const struct node_event *ev, uint64_t now_us)
{
	(void)r, (void)ev, (void)now_us;
}

static void on_outbound(void *r, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	(void)r, (void)pkt, (void)view, (void)now_us;
}

static bool on_inbound(void *r, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	(void)r, (void)ref, (void)pkt, (void)view, (void)now_us;
	return false;
}

static void on_timeout(void *r, uint64_t now_us)
{
	(void)r, (void)now_us;
}

static uint64_t next_timeout(const void *r)
{
	(void)r;
	return FZ_NEVER_US;
}

static void on_dns_answer(void *p, const struct fz_dns_answer *a, uint64_t now_us)
{
	struct role *r = p;

	(void)now_us;
	r->answers++;
	r->last_id = a->id;
	r->last_err = a->err;
	r->last_len = a->len;
}

static void on_dns_request(void *p, const struct fz_dns_request *q, uint64_t now_us)
{
	struct role *r = p;

	(void)now_us;
	r->requests++;
	endpoint_dns_reply(e, q->id, "reply", 5);
}

static void on_listen_failed(void *p, const struct fz_addr *addr, int err, uint64_t now_us)
{
	struct role *r = p;

	(void)addr, (void)now_us;
	r->listen_failed++;
	r->last_err = err;
}

static void on_resolved(void *p, const struct fz_resolved *res, uint64_t now_us)
{
	struct role *r = p;

	(void)now_us;
	r->resolved++;
	r->last_id = res->id;
}

static void on_http(void *p, const struct fz_http_result *res, uint64_t now_us)
{
	struct role *r = p;

	(void)now_us;
	r->http++;
	r->last_id = res->id;
}

static void on_system_dns(void *p, const struct fz_ip *servers, size_t len, uint64_t now_us)
{
	struct role *r = p;

	(void)servers, (void)now_us;
	r->system_dns++;
	r->last_len = len;
}

static const struct endpoint_ops mute = {
	.message = on_message,
	.node_event = on_node_event,
	.outbound = on_outbound,
	.inbound = on_inbound,
	.timeout = on_timeout,
	.next_timeout = next_timeout,
};

static const struct endpoint_ops eager = {
	.message = on_message,
	.node_event = on_node_event,
	.outbound = on_outbound,
	.inbound = on_inbound,
	.timeout = on_timeout,
	.next_timeout = next_timeout,
	.dns_answer = on_dns_answer,
	.dns_request = on_dns_request,
	.dns_listen_failed = on_listen_failed,
	.resolved = on_resolved,
	.http_result = on_http,
	.system_dns = on_system_dns,
};

static void open_endpoint(const struct endpoint_ops *ops)
{
	struct endpoint_opts o = { .portal = host_usual_opts, .peer_kind = PORTAL_PEER_GATEWAY };
	const char *reason;

	unit_env_init(&u, 1);
	role = (struct role){ 0 };
	ck_assert_int_eq(endpoint_new(&u.env, &o, ops, &role, 1000, &e, &reason), 0);
}

static void close_endpoint(void)
{
	endpoint_free(e);
	unit_env_check(&u);
}

/* The next request to the host that is not about the portal's stream. */
static bool poll(struct fz_event *ev)
{
	while (endpoint_poll_event(e, ev))
		if (ev->type >= FZ_EVENT_DNS_QUERY && ev->type <= FZ_EVENT_DNS_FLUSH)
			return true;
	return false;
}

static struct fz_addr addr(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

START_TEST(questions_are_copied)
{
	char url[] = "https://doh.example/", name[] = "host.example", method[] = "POST", body[] = "body";
	char h1[] = "accept", v1[] = "all", h2[] = "authorization", v2[] = "Bearer x";
	uint8_t data[] = "0123456789ab";
	struct fz_http_header headers[] = { { h1, v1 }, { h2, v2 } };
	struct fz_dns_query q = {
		.size = sizeof(q), .id = 5, .transport = FZ_DNS_HTTPS, .url = url, .data = data, .len = 12
	};
	struct fz_http_request r = { .size = sizeof(r),
				     .id = 6,
				     .method = method,
				     .url = url,
				     .headers = headers,
				     .headers_len = 2,
				     .body = body,
				     .body_len = 4 };
	struct fz_event ev;

	open_endpoint(&eager);
	ck_assert_int_eq(endpoint_dns_query(e, &q), 0);
	ck_assert_int_eq(endpoint_resolve(e, 7, name), 0);
	ck_assert_int_eq(endpoint_http(e, &r), 0);
	endpoint_dns_reply(e, 8, data, 12);
	endpoint_dns_reply(e, 9, NULL, 0);
	endpoint_dns_flush(e);
	memset(url, 'u', sizeof(url) - 1);
	memset(name, 'n', sizeof(name) - 1);
	memset(method, 'm', sizeof(method) - 1);
	memset(body, 'b', sizeof(body) - 1);
	memset(h1, 'h', 6);
	memset(v2, 'v', 8);
	memset(data, 'd', sizeof(data));
	memset(headers, 0, sizeof(headers));

	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_QUERY);
	ck_assert_uint_eq(ev.u.dns_query.id, 5);
	ck_assert_str_eq(ev.u.dns_query.url, "https://doh.example/");
	ck_assert_mem_eq(ev.u.dns_query.data, "0123456789ab", 12);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_RESOLVE);
	ck_assert_uint_eq(ev.u.resolve.id, 7);
	ck_assert_str_eq(ev.u.resolve.name, "host.example");
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_HTTP);
	ck_assert_uint_eq(ev.u.http.id, 6);
	ck_assert_str_eq(ev.u.http.method, "POST");
	ck_assert_str_eq(ev.u.http.url, "https://doh.example/");
	ck_assert_uint_eq(ev.u.http.headers_len, 2);
	ck_assert_str_eq(ev.u.http.headers[0].name, "accept");
	ck_assert_str_eq(ev.u.http.headers[0].value, "all");
	ck_assert_str_eq(ev.u.http.headers[1].value, "Bearer x");
	ck_assert_mem_eq(ev.u.http.body, "body", 4);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_REPLY);
	ck_assert_uint_eq(ev.u.dns_reply.request, 8);
	ck_assert_mem_eq(ev.u.dns_reply.data, "0123456789ab", 12);
	ck_assert(poll(&ev));
	ck_assert_uint_eq(ev.u.dns_reply.request, 9);
	ck_assert_uint_eq(ev.u.dns_reply.len, 0);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_FLUSH);
	ck_assert(!poll(&ev));
	close_endpoint();
}
END_TEST

START_TEST(the_queue_is_limited)
{
	struct fz_event ev;
	unsigned n = 0;

	open_endpoint(&eager);
	for (unsigned i = 0; i < ENDPOINT_ASKS_MAX; i++)
		ck_assert_int_eq(endpoint_resolve(e, i, "name"), 0);
	ck_assert_int_eq(endpoint_resolve(e, 0, "name"), FZ_ERR_FULL);
	ck_assert_uint_eq(endpoint_stats(e)->drops[DROP_ASK], 1);
	while (poll(&ev))
		ck_assert_uint_eq(ev.u.resolve.id, n++);
	ck_assert_uint_eq(n, ENDPOINT_ASKS_MAX);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(endpoint_resolve(e, 0, "name"), FZ_ERR_NOMEM);
	ck_assert_uint_eq(endpoint_stats(e)->drops[DROP_ASK], 2);
	ck_assert_int_eq(endpoint_resolve(e, 0, "name"), 0); /* left to endpoint_free() */
	close_endpoint();
}
END_TEST

START_TEST(results_reach_the_role)
{
	const struct fz_dns_answer a = { .id = 1, .err = FZ_ERR_TIMEOUT };
	const struct fz_resolved r = { .id = 2 };
	const struct fz_http_result h = { .id = 3, .content_type = "", .location = "", .error = "" };
	const struct fz_dns_request q = { .id = 4 };
	const struct fz_ip servers[3] = { { .family = FZ_FAMILY_INET } };
	struct fz_event ev;

	open_endpoint(&eager);
	endpoint_dns_answer(e, &a, 2000);
	ck_assert_uint_eq(role.answers, 1);
	ck_assert_int_eq(role.last_err, FZ_ERR_TIMEOUT);
	endpoint_resolved(e, &r, 2000);
	ck_assert_uint_eq(role.resolved, 1);
	ck_assert_uint_eq(role.last_id, 2);
	endpoint_http_result(e, &h, 2000);
	ck_assert_uint_eq(role.http, 1);
	ck_assert_uint_eq(role.last_id, 3);
	endpoint_system_dns(e, servers, 3, 2000);
	ck_assert_uint_eq(role.system_dns, 1);
	ck_assert_uint_eq(role.last_len, 3);
	endpoint_dns_request(e, &q, 2000);
	ck_assert_uint_eq(role.requests, 1);
	ck_assert(poll(&ev));
	ck_assert_uint_eq(ev.u.dns_reply.request, 4);
	ck_assert_mem_eq(ev.u.dns_reply.data, "reply", 5);
	close_endpoint();
}
END_TEST

/* A role without interest: nothing happens, but a request is turned away. */
START_TEST(results_of_no_interest)
{
	const struct fz_dns_answer a = { .id = 1 };
	const struct fz_resolved r = { .id = 2 };
	const struct fz_http_result h = { .id = 3 };
	const struct fz_dns_request q = { .id = 4 };
	struct fz_event ev;

	open_endpoint(&mute);
	endpoint_dns_answer(e, &a, 2000);
	endpoint_resolved(e, &r, 2000);
	endpoint_http_result(e, &h, 2000);
	endpoint_system_dns(e, NULL, 0, 2000);
	endpoint_dns_request(e, &q, 2000);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_REPLY);
	ck_assert_uint_eq(ev.u.dns_reply.request, 4);
	ck_assert_uint_eq(ev.u.dns_reply.len, 0);
	ck_assert(!poll(&ev));
	close_endpoint();
}
END_TEST

static uint64_t settle(uint64_t now_us)
{
	struct fz_event ev;

	endpoint_handle_timeout(e, now_us);
	ck_assert(!poll(&ev));
	return endpoint_next_timeout(e);
}

START_TEST(listeners_are_tried_again)
{
	const struct fz_addr here = addr("100.64.0.1:53535"), there = addr("[fd00::1]:53535");
	struct fz_event ev;

	open_endpoint(&eager);
	ck_assert_int_eq(endpoint_dns_listen(e, &here, true, true), 0);
	ck_assert_int_eq(endpoint_dns_listen(e, &there, false, true), 0);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_LISTEN);
	ck_assert(fz_addr_equal(&ev.u.dns_listen.addr, &here));
	ck_assert(ev.u.dns_listen.udp && ev.u.dns_listen.tcp);
	ck_assert(poll(&ev));
	ck_assert(fz_addr_equal(&ev.u.dns_listen.addr, &there));
	ck_assert(!ev.u.dns_listen.udp && ev.u.dns_listen.tcp);

	endpoint_dns_listen_failed(e, &here, FZ_ERR_STATE, 10000);
	ck_assert_uint_eq(role.listen_failed, 1);
	ck_assert_int_eq(role.last_err, FZ_ERR_STATE);
	ck_assert_uint_le(settle(10000), 10000 + ENDPOINT_LISTEN_RETRY_US);
	endpoint_handle_timeout(e, 10000 + ENDPOINT_LISTEN_RETRY_US);
	ck_assert(poll(&ev));
	ck_assert(fz_addr_equal(&ev.u.dns_listen.addr, &here));
	ck_assert(ev.u.dns_listen.udp && ev.u.dns_listen.tcp);

	/* Closed while it is broken: no further attempt. */
	endpoint_dns_listen_failed(e, &here, FZ_ERR_STATE, 10000 + ENDPOINT_LISTEN_RETRY_US);
	ck_assert_int_eq(endpoint_dns_listen(e, &here, false, false), 0);
	ck_assert(poll(&ev));
	ck_assert(!ev.u.dns_listen.udp && !ev.u.dns_listen.tcp);
	settle(10000 + 3 * ENDPOINT_LISTEN_RETRY_US);
	endpoint_dns_listen_failed(e, &here, FZ_ERR_STATE, 10000); /* an unknown one */
	ck_assert_uint_eq(role.listen_failed, 2);
	ck_assert_int_eq(endpoint_dns_listen(e, &here, false, false), 0);
	ck_assert(!poll(&ev));
	close_endpoint();
}
END_TEST

START_TEST(listeners_are_limited)
{
	struct fz_addr a = addr("100.64.0.1:1000");
	struct fz_event ev;

	open_endpoint(&eager);
	for (; a.port < 1000 + ENDPOINT_LISTENS_MAX; a.port++)
		ck_assert_int_eq(endpoint_dns_listen(e, &a, true, true), 0);
	ck_assert_int_eq(endpoint_dns_listen(e, &a, true, true), FZ_ERR_FULL);
	while (poll(&ev))
		;
	a.port = 1000;
	ck_assert_int_eq(endpoint_dns_listen(e, &a, false, false), 0);
	ck_assert(poll(&ev));
	a.port = 2000;
	ck_assert_int_eq(endpoint_dns_listen(e, &a, true, true), 0);
	close_endpoint();
}
END_TEST

/* Without memory for the event it looks like a listener that failed. */
START_TEST(listeners_without_memory)
{
	const struct fz_addr here = addr("100.64.0.1:53535");
	struct fz_event ev;

	open_endpoint(&eager);
	settle(1000);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(endpoint_dns_listen(e, &here, true, true), 0);
	ck_assert(!poll(&ev));
	endpoint_handle_timeout(e, 1000 + ENDPOINT_LISTEN_RETRY_US);
	ck_assert(poll(&ev));
	ck_assert_int_eq(ev.type, FZ_EVENT_DNS_LISTEN);
	close_endpoint();
}
END_TEST

START_TEST(netcfg_is_copied)
{
	struct fz_prefix routes[2];
	struct fz_ip dns[1];
	char domain[] = "corp.example";
	struct fz_netcfg cfg = {
		.routes = routes, .routes_len = 2, .dns = dns, .dns_len = 1, .search_domain = domain
	};
	struct fz_event ev = { .type = 0 };

	open_endpoint(&mute);
	ck_assert_int_eq(fz_prefix_parse("10.0.0.0/8", &routes[0]) | fz_prefix_parse("fd00::/8", &routes[1]) |
				 fz_ip_parse("100.100.111.1", &dns[0]) | fz_ip_parse("100.64.0.1", &cfg.ipv4),
			 0);
	ck_assert_int_eq(endpoint_set_netcfg(e, &cfg), 0);
	cfg.routes_len = 1;
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(endpoint_set_netcfg(e, &cfg), FZ_ERR_NOMEM); /* it stays as it was */
	memset(routes, 0, sizeof(routes));
	memset(dns, 0, sizeof(dns));
	memset(domain, 'x', 3);
	while (ev.type != FZ_EVENT_NETCFG)
		ck_assert(endpoint_poll_event(e, &ev));
	ck_assert_uint_eq(ev.u.netcfg.routes_len, 2);
	ck_assert_uint_eq(ev.u.netcfg.routes[1].ip.b[0], 0xfd);
	ck_assert_uint_eq(ev.u.netcfg.dns_len, 1);
	ck_assert_uint_eq(ev.u.netcfg.dns[0].b[3], 1);
	ck_assert_str_eq(ev.u.netcfg.search_domain, "corp.example");
	close_endpoint();
}
END_TEST

/* ---- the driver ---- */

START_TEST(the_driver_hands_on)
{
	const struct fz_client_opts co = { .size = sizeof(co),
					   .api_url = "ws://192.0.2.9:80/",
					   .token = "token",
					   .id = "id",
					   .name = "name" };
	const struct fz_addr here = addr("100.64.0.1:53535");
	const struct fz_dns_request asked = {
		.local = here, .peer = here, .data = (const uint8_t *)"x", .len = 1
	};
	struct fz_dns_query q = { .size = sizeof(q),
				  .id = UINT64_MAX,
				  .server = addr("192.0.2.53:53"),
				  .data = (const uint8_t *)"0123456789ab",
				  .len = 12 };
	struct fz_http_request r = {
		.size = sizeof(r), .id = UINT64_MAX, .method = "GET", .url = "https://x/"
	};
	struct fz_memnet *net;
	struct fz_platform host;
	struct fz_client *client;
	struct fz_run *run;
	struct fz_ip ip;
	const char *name;
	uint64_t id;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_ip_parse("192.0.2.1", &ip), 0);
	ck_assert_int_eq(fz_memnet_new(&u.env, &net), 0);
	ck_assert_int_eq(fz_memnet_host(net, &ip, NULL, &host), 0);
	ck_assert_int_eq(fz_client_new(&u.env, &co, 1, &client), 0);
	ck_assert_int_eq(fz_run_client_new(&u.env, client, &host, NULL, &run), 0);
	e = client_endpoint_of(client);
	unsigned flushes = fz_memnet_dns_flushes(&host);
	ck_assert_int_eq(endpoint_dns_query(e, &q), 0);
	ck_assert_int_eq(endpoint_resolve(e, UINT64_MAX, "host.example"), 0);
	ck_assert_int_eq(endpoint_http(e, &r), 0);
	ck_assert_int_eq(endpoint_dns_listen(e, &here, true, false), 0);
	endpoint_dns_flush(e);
	ck_assert_int_eq(fz_run_dispatch(run), 0);
	ck_assert(fz_memnet_query_take(&host, &q));
	ck_assert_mem_eq(q.data, "0123456789ab", 12);
	ck_assert(fz_memnet_resolve_take(&host, &id, &name));
	ck_assert_str_eq(name, "host.example");
	ck_assert(fz_memnet_http_take(&host, &r));
	ck_assert_str_eq(r.url, "https://x/");
	ck_assert_int_eq(fz_memnet_request_put(&host, &asked, &id), 0);
	ck_assert_uint_eq(fz_memnet_dns_flushes(&host), flushes + 1);
	/* Time-outs are told, whoever asked. */
	fz_memnet_advance(net, 60000000);
	ck_assert_int_eq(fz_run_dispatch(run), 0);
	ck_assert_int_eq(endpoint_dns_listen(e, &here, false, false), 0);
	ck_assert_int_eq(fz_run_dispatch(run), 0);
	ck_assert_int_eq(fz_memnet_request_put(&host, &asked, &id), FZ_ERR_NOT_FOUND);
	fz_run_free(run);
	fz_client_free(client);
	fz_memnet_free(net);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("endpoint_ask");

	unit_case(s, "questions", questions_are_copied, the_queue_is_limited, results_reach_the_role,
		  results_of_no_interest, netcfg_is_copied);
	unit_case(s, "listeners", listeners_are_tried_again, listeners_are_limited, listeners_without_memory);
	unit_case(s, "driver", the_driver_hands_on);
	return s;
}
