/* SPDX-License-Identifier: Apache-2.0 */
#include "host_dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "device.h"
#include "fzconn/error.h"
#include "wire/dns.h"
#include "wire/udp.h"

#define TTL_S 60
#define FIRST_PORT 40000

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- names ---- */

void host_names_set(struct host_names *names, const char *name, const char *ip1, const char *ip2)
{
	const char *texts[] = { ip1, ip2 };
	unsigned i = 0;

	while (i < names->len && strcmp(names->v[i].name, name) != 0)
		i++;
	must(i < HOST_DNS_NAMES);
	if (i == names->len)
		names->len++;
	snprintf(names->v[i].name, sizeof(names->v[i].name), "%s", name);
	names->v[i].n = 0;
	for (size_t k = 0; k < 2; k++)
		if (texts[k])
			must(fz_ip_parse(texts[k], &names->v[i].ips[names->v[i].n++]) == 0);
}

/* NULL = no such name. */
static const struct fz_ip *find(const struct host_names *names, const struct dns_name *name, unsigned *ret_n)
{
	struct dns_name have;

	for (unsigned i = 0; i < names->len; i++) {
		if (dns_name_parse(names->v[i].name, &have) != 0 || !dns_name_equal(&have, name))
			continue;
		*ret_n = names->v[i].n;
		return names->v[i].ips;
	}
	return NULL;
}

static size_t serve(const struct host_names *names, const void *query, size_t len, uint8_t *buf, size_t cap)
{
	struct fz_ip fit[4];
	const struct fz_ip *ips;
	struct dns_msg q;
	unsigned n = 0;
	size_t fits = 0;

	must(dns_parse_query(query, len, &q) == 0);
	ips = find(names, &q.name, &n);
	if (ips == NULL)
		return dns_reply_empty(&q, DNS_NXDOMAIN, buf, cap);
	for (unsigned i = 0; i < n; i++)
		if ((q.type == DNS_A && ips[i].family == FZ_FAMILY_INET) ||
		    (q.type == DNS_AAAA && ips[i].family == FZ_FAMILY_INET6))
			fit[fits++] = ips[i];
	return dns_reply_ips(&q, fit, fits, TTL_S, buf, cap);
}

/* ---- what the device asks ---- */

static void post(struct device *d, sim_call *what, const void *data, size_t len)
{
	if (!d->lines->names.is_silent)
		sim_post(d->lines->net, d->host, d->lines->names.delay_us, what, data, len);
}

static void hand_answer(struct device *d, uint64_t id, const void *data, size_t len, uint64_t now_us)
{
	struct fz_dns_answer a = { .id = id, .data = data, .len = len };

	if (d->client)
		fz_client_dns_answer(d->client, &a, now_us);
	else
		fz_gateway_dns_answer(d->gateway, &a, now_us);
}

static void answered(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct device *d = ctx;
	uint64_t id;

	memcpy(&id, data, sizeof(id));
	hand_answer(d, id, (const uint8_t *)data + sizeof(id), len - sizeof(id), now_us);
	device_drain(d);
}

/* The kernel's socket: a port of its own, and packets through the TUN like those of any program. */
static void through_tunnel(struct device *d, const struct fz_dns_query *q)
{
	unsigned slot = d->dns.tunnelled++ % HOST_DNS_TUNNELLED;
	struct fz_addr from = { .ip = q->bind, .port = (uint16_t)(FIRST_PORT + slot) };
	uint8_t buf[FZ_TUNNEL_MTU];
	size_t len = udp_build(buf, &from, &q->server, q->data, q->len);

	d->dns.open[slot] = *q;
	device_tun_later(d, buf, len);
}

static void on_query(struct device *d, const struct fz_dns_query *q)
{
	uint8_t buf[4096 + sizeof(q->id)];
	size_t len;

	d->dns.queries++;
	d->dns.last = *q;
	if (q->bind.family != FZ_FAMILY_NONE) {
		through_tunnel(d, q);
		return;
	}
	memcpy(buf, &q->id, sizeof(q->id));
	len = serve(&d->lines->names, q->data, q->len, buf + sizeof(q->id), sizeof(buf) - sizeof(q->id));
	post(d, answered, buf, sizeof(q->id) + len);
}

struct lookup {
	uint64_t id;
	char name[256];
};

static void resolved(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct device *d = ctx;
	struct fz_resolved r = { .err = FZ_ERR_NOT_FOUND };
	struct dns_name name;
	struct lookup l;
	unsigned n = 0;

	must(len == sizeof(l));
	memcpy(&l, data, sizeof(l));
	r.id = l.id;
	if (dns_name_parse(l.name, &name) == 0)
		r.addrs = find(&d->lines->names, &name, &n);
	r.len = n;
	if (n > 0)
		r.err = 0;
	fz_gateway_resolved(d->gateway, &r, now_us);
	device_drain(d);
}

static void on_resolve(struct device *d, uint64_t id, const char *name)
{
	struct lookup l = { .id = id };

	d->dns.lookups++;
	snprintf(l.name, sizeof(l.name), "%s", name);
	post(d, resolved, &l, sizeof(l));
}

static void on_listen(struct device *d, const struct fz_addr *addr, bool on)
{
	struct host_dns *s = &d->dns;
	unsigned i = 0;

	while (i < s->listens_len && !fz_addr_equal(&s->listens[i], addr))
		i++;
	must(i < 8);
	if (on && i == s->listens_len)
		s->listens[s->listens_len++] = *addr;
	if (!on && i < s->listens_len)
		s->listens[i] = s->listens[--s->listens_len];
}

/* ---- a gateway's listener ---- */

/* By UDP the request's number says who asked: slots of the last few. */
static struct fz_addr peers[16], locals[16];

static bool request(struct device *d, const struct fz_pkt *pkt, const struct ip_view *v)
{
	static uint64_t id;
	struct fz_dns_request r = { .id = ++id,
				    .data = pkt->data + v->hdr_len,
				    .len = v->len - v->hdr_len,
				    .local = { .ip = v->dst, .port = v->dport },
				    .peer = { .ip = v->src, .port = v->sport } };

	peers[id % 16] = r.peer;
	locals[id % 16] = r.local;
	fz_gateway_dns_request(d->gateway, &r, sim_host_now(d->lines->net, d->host));
	return true;
}

static void on_reply(struct device *d, uint64_t id, const void *data, size_t len)
{
	uint8_t buf[FZ_TUNNEL_MTU];

	d->dns.reply_to = id;
	d->dns.reply_len = len;
	if (len > 0)
		memcpy(d->dns.reply, data, len);
	if (d->gateway && len > 0)
		device_tun_later(d, buf, udp_build(buf, &locals[id % 16], &peers[id % 16], data, len));
}

void host_dns_event(struct device *d, const struct fz_event *ev)
{
	switch (ev->type) {
	case FZ_EVENT_DNS_QUERY:
		on_query(d, &ev->u.dns_query);
		break;
	case FZ_EVENT_RESOLVE:
		on_resolve(d, ev->u.resolve.id, ev->u.resolve.name);
		break;
	case FZ_EVENT_DNS_LISTEN:
		on_listen(d, &ev->u.dns_listen.addr, ev->u.dns_listen.udp || ev->u.dns_listen.tcp);
		break;
	case FZ_EVENT_DNS_REPLY:
		on_reply(d, ev->u.dns_reply.request, ev->u.dns_reply.data, ev->u.dns_reply.len);
		break;
	case FZ_EVENT_DNS_FLUSH:
		d->dns.flushes++;
		break;
	default:
		break;
	}
}

bool host_dns_packet(struct device *d, const struct fz_pkt *pkt)
{
	struct ip_view v;
	unsigned slot;

	if (ip_parse(pkt, &v) != IP_OK || v.kind != IP_UDP)
		return false;
	for (unsigned i = 0; i < d->dns.listens_len && d->gateway; i++)
		if (d->dns.listens[i].port == v.dport && fz_ip_equal(&d->dns.listens[i].ip, &v.dst))
			return request(d, pkt, &v);
	slot = (unsigned)v.dport - FIRST_PORT;
	if (slot >= HOST_DNS_TUNNELLED || !fz_ip_equal(&v.src, &d->dns.open[slot].server.ip) ||
	    v.sport != d->dns.open[slot].server.port)
		return false;
	hand_answer(d, d->dns.open[slot].id, pkt->data + v.hdr_len, v.len - v.hdr_len,
		    sim_host_now(d->lines->net, d->host));
	return true;
}
