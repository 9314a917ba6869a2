/* SPDX-License-Identifier: Apache-2.0 */
/* DNS, names and HTTP between object and platform. What the platform refuses has failed: the object hears of
 * it as of any other failure. */
#include "api/run_priv.h"

/* Of each kind in one turn: packets must not wait for a crowd of queries. */
#define ANSWERS_A_TURN 64

bool run_serve_ask(struct fz_run *r, const struct fz_event *ev)
{
	struct fz_dns_answer answer = { 0 };
	struct fz_resolved resolved = { 0 };
	struct fz_http_result result = { .content_type = "", .location = "", .error = "" };
	int err;

	switch (ev->type) {
	case FZ_EVENT_DNS_QUERY:
		answer.id = ev->u.dns_query.id;
		answer.err = call(r, dns_query, &ev->u.dns_query);
		if (answer.err != 0)
			endpoint_dns_answer(r->endpoint, &answer, r->now_us);
		return true;
	case FZ_EVENT_DNS_LISTEN:
		if (!ev->u.dns_listen.udp && !ev->u.dns_listen.tcp) {
			call(r, dns_unlisten, &ev->u.dns_listen.addr);
			return true;
		}
		err = call(r, dns_listen, &ev->u.dns_listen.addr, ev->u.dns_listen.udp, ev->u.dns_listen.tcp);
		if (err != 0)
			endpoint_dns_listen_failed(r->endpoint, &ev->u.dns_listen.addr, err, r->now_us);
		return true;
	case FZ_EVENT_DNS_REPLY:
		(void)call(r, dns_reply, ev->u.dns_reply.request, ev->u.dns_reply.data, ev->u.dns_reply.len);
		return true;
	case FZ_EVENT_RESOLVE:
		resolved.id = ev->u.resolve.id;
		resolved.err = call(r, resolve, ev->u.resolve.id, ev->u.resolve.name);
		if (resolved.err != 0)
			endpoint_resolved(r->endpoint, &resolved, r->now_us);
		return true;
	case FZ_EVENT_DNS_FLUSH:
		ask(r, dns_flush);
		return true;
	case FZ_EVENT_HTTP:
		result.id = ev->u.http.id;
		result.err = call(r, http_start, &ev->u.http);
		result.error = fz_strerror(result.err);
		if (result.err != 0)
			endpoint_http_result(r->endpoint, &result, r->now_us);
		return true;
	default:
		return false;
	}
}

void run_read_answers(struct fz_run *r)
{
	struct fz_dns_answer answer;
	struct fz_dns_request request;
	struct fz_resolved resolved;
	struct fz_http_result result;
	int i;

	for (i = 0; i < ANSWERS_A_TURN && call(r, dns_answer, &answer); i++)
		endpoint_dns_answer(r->endpoint, &answer, r->now_us);
	for (i = 0; i < ANSWERS_A_TURN && call(r, dns_request, &request); i++)
		endpoint_dns_request(r->endpoint, &request, r->now_us);
	for (i = 0; i < ANSWERS_A_TURN && call(r, resolved, &resolved); i++)
		endpoint_resolved(r->endpoint, &resolved, r->now_us);
	for (i = 0; i < ANSWERS_A_TURN && call(r, http_result, &result); i++)
		if (!run_flow_http(r, &result))
			endpoint_http_result(r->endpoint, &result, r->now_us);
}

void run_tell_dns(struct fz_run *r)
{
	struct fz_ip servers[FZ_DNS_SERVERS_MAX];
	size_t n = call(r, dns_servers, servers, FZ_DNS_SERVERS_MAX);

	endpoint_system_dns(r->endpoint, servers, n, r->now_us);
}
