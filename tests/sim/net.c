/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define LAN_DELAY_US 200
/* Turns of one host at one point of time; a host that needs more never comes to rest. */
#define TURNS_MAX 1000

struct host {
	int site;
	const struct sim_host_ops *ops;
	void *ctx;
	struct fz_ip ips[SIM_IPS_MAX];
	unsigned n_ips;
	int64_t clock_us;
	bool is_up;
	uint64_t turn_us;
	unsigned turns;
};

struct site {
	struct nat nat4, nat6;
	struct sim_link link;
};

struct event {
	uint64_t at_us, seq;
	sim_call *call; /* NULL: a datagram */
	int host; /* of a call */
	int site; /* where a datagram arrives */
	bool is_lan; /* ... from inside */
	struct fz_addr from, to;
	uint16_t len;
	uint8_t data[];
};

struct sim_net {
	uint64_t now_us, seq, state;
	struct site sites[SIM_SITES_MAX];
	struct host hosts[SIM_HOSTS_MAX];
	int n_sites, n_hosts;
	struct event *heap[SIM_EVENTS_MAX];
	unsigned n_events;
	bool is_broken, traces;
	struct sim_stats stats;
};

struct sim_net *sim_new(uint64_t seed)
{
	struct sim_net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		abort();
	net->state = seed;
	net->now_us = FZ_SEC(1000);
	return net;
}

void sim_free(struct sim_net *net)
{
	for (unsigned i = 0; i < net->n_events; i++)
		free(net->heap[i]);
	free(net);
}

uint64_t sim_random(struct sim_net *net, uint64_t n)
{
	uint64_t z = net->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % n;
}

uint64_t sim_now(const struct sim_net *net)
{
	return net->now_us;
}

const struct sim_stats *sim_stats(const struct sim_net *net)
{
	return &net->stats;
}

/* ---- events: a binary heap by time, then by order of insertion ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void push(struct sim_net *net, struct event *e)
{
	unsigned i = net->n_events;

	if (i == SIM_EVENTS_MAX) {
		net->is_broken = true;
		free(e);
		return;
	}
	e->seq = net->seq++;
	net->heap[net->n_events++] = e;
	if (net->n_events > net->stats.max_events)
		net->stats.max_events = net->n_events;
	for (; i > 0 && before(e, net->heap[(i - 1) / 2]); i = (i - 1) / 2)
		net->heap[i] = net->heap[(i - 1) / 2];
	net->heap[i] = e;
}

static struct event *pop(struct sim_net *net)
{
	struct event *top = net->heap[0], *last = net->heap[--net->n_events];
	unsigned i = 0;

	for (;;) {
		unsigned c = 2 * i + 1;
		if (c >= net->n_events)
			break;
		if (c + 1 < net->n_events && before(net->heap[c + 1], net->heap[c]))
			c++;
		if (!before(net->heap[c], last))
			break;
		net->heap[i] = net->heap[c];
		i = c;
	}
	net->heap[i] = last;
	return top;
}

static struct event *new_event(uint64_t at_us, const void *data, size_t len)
{
	struct event *e = calloc(1, sizeof(*e) + len);

	if (e == NULL)
		abort();
	e->at_us = at_us;
	e->len = (uint16_t)len;
	if (len > 0)
		memcpy(e->data, data, len);
	return e;
}

void sim_post(struct sim_net *net, int host, uint64_t after_us, sim_call *call, const void *data, size_t len)
{
	struct event *e = new_event(net->now_us + after_us, data, len);

	e->call = call;
	e->host = host;
	push(net, e);
}

/* ---- topology ---- */

int sim_add_site(struct sim_net *net, const struct sim_site_opts *opts)
{
	struct site *s;

	if (net->n_sites == SIM_SITES_MAX)
		abort();
	s = &net->sites[net->n_sites];
	nat_init(&s->nat4, &opts->nat4, sim_random(net, UINT64_MAX));
	nat_init(&s->nat6, &opts->nat6, sim_random(net, UINT64_MAX));
	s->link = opts->link;
	return net->n_sites++;
}

static struct nat *nat_of(struct site *s, uint8_t family)
{
	return family == FZ_FAMILY_INET ? &s->nat4 : &s->nat6;
}

struct nat *sim_nat(struct sim_net *net, int site, enum fz_family family)
{
	return nat_of(&net->sites[site], family);
}

struct sim_link *sim_site_link(struct sim_net *net, int site)
{
	return &net->sites[site].link;
}

int sim_add_host(struct sim_net *net, int site, const struct sim_host_ops *ops, void *ctx)
{
	if (net->n_hosts == SIM_HOSTS_MAX)
		abort();
	net->hosts[net->n_hosts] = (struct host){ .site = site, .ops = ops, .ctx = ctx, .is_up = true };
	return net->n_hosts++;
}

void sim_add_ip(struct sim_net *net, int host, const struct fz_ip *ip)
{
	struct host *h = &net->hosts[host];

	if (h->n_ips == SIM_IPS_MAX)
		abort();
	h->ips[h->n_ips++] = *ip;
}

void sim_set_up(struct sim_net *net, int host, bool is_up)
{
	net->hosts[host].is_up = is_up;
}

void sim_jump_clock(struct sim_net *net, int host, int64_t by_us)
{
	net->hosts[host].clock_us += by_us;
}

static uint64_t clock_of(const struct sim_net *net, const struct host *h)
{
	return net->now_us + (uint64_t)h->clock_us;
}

uint64_t sim_host_now(const struct sim_net *net, int host)
{
	return clock_of(net, &net->hosts[host]);
}

static struct host *host_with(struct sim_net *net, int site, const struct fz_ip *ip)
{
	for (int i = 0; i < net->n_hosts; i++)
		for (unsigned k = 0; k < net->hosts[i].n_ips; k++)
			if ((site < 0 || net->hosts[i].site == site) &&
			    fz_ip_equal(&net->hosts[i].ips[k], ip))
				return &net->hosts[i];
	return NULL;
}

/* The site that this public address leads to. */
static int site_with(struct sim_net *net, const struct fz_ip *ip)
{
	for (int i = 0; i < net->n_sites; i++) {
		const struct nat_opts *o = &nat_of(&net->sites[i], ip->family)->opts;
		if (o->mapping != NAT_OPEN && fz_ip_equal(&o->public_ip, ip))
			return i;
	}
	const struct host *h = host_with(net, -1, ip);
	if (h != NULL && nat_of(&net->sites[h->site], ip->family)->opts.mapping == NAT_OPEN)
		return h->site;
	return -1;
}

/* ---- datagrams ---- */

static bool happens(struct sim_net *net, uint32_t ppm)
{
	return ppm > 0 && sim_random(net, 1000000) < ppm;
}

static uint64_t delay_of(struct sim_net *net, const struct sim_link *l)
{
	return l->delay_us + (l->jitter_us > 0 ? sim_random(net, l->jitter_us) : 0);
}

void sim_set_trace(struct sim_net *net, bool on)
{
	net->traces = on;
}

static void trace(const struct sim_net *net, const char *fate, const struct fz_addr *from,
		  const struct fz_addr *to, const uint8_t *data, size_t len)
{
	char a[FZ_ADDR_STRLEN], b[FZ_ADDR_STRLEN];

	if (net->traces)
		printf("%10.4f %-10s %s > %s %zu bytes, %02x%02x\n", (double)net->now_us / 1e6, fate,
		       fz_addr_format(from, a), fz_addr_format(to, b), len, len > 0 ? data[0] : 0,
		       len > 1 ? data[1] : 0);
}

static void carry(struct sim_net *net, int site_from, int site_to, const struct fz_addr *from,
		  const struct fz_addr *to, const void *data, size_t len)
{
	const struct sim_link *a = &net->sites[site_from].link, *b = &net->sites[site_to].link;
	bool twice = happens(net, a->dup_ppm) || happens(net, b->dup_ppm);

	if (happens(net, a->loss_ppm) || happens(net, b->loss_ppm)) {
		net->stats.lost++;
		trace(net, "lost", from, to, data, len);
		return;
	}
	net->stats.duplicated += twice;
	for (int i = 0; i <= twice; i++) {
		struct event *e = new_event(net->now_us + delay_of(net, a) + delay_of(net, b), data, len);
		e->from = *from;
		e->to = *to;
		e->site = site_to;
		push(net, e);
	}
}

void sim_send(struct sim_net *net, int host, const struct fz_addr *from, const struct fz_addr *to,
	      const void *data, size_t len)
{
	int site = net->hosts[host].site, to_site;
	struct fz_addr seen;

	net->stats.sent++;
	if (len > SIM_DATAGRAM_MAX)
		abort();
	if (host_with(net, site, &to->ip) != NULL) {
		struct event *e = new_event(net->now_us + LAN_DELAY_US, data, len);
		e->from = *from;
		e->to = *to;
		e->site = site;
		e->is_lan = true;
		push(net, e);
		return;
	}
	if (!nat_out(nat_of(&net->sites[site], to->ip.family), from, to, &seen, net->now_us)) {
		net->stats.filtered++;
		trace(net, "no way out", from, to, data, len);
		return;
	}
	to_site = site_with(net, &to->ip);
	if (to_site < 0 || (to_site == site && !nat_of(&net->sites[site], to->ip.family)->opts.hairpins)) {
		net->stats.unroutable++;
		trace(net, "unroutable", &seen, to, data, len);
		return;
	}
	carry(net, site, to_site, &seen, to, data, len);
}

static void arrive(struct sim_net *net, struct event *e)
{
	struct fz_addr inside = e->to;
	struct host *h;

	if (!e->is_lan &&
	    !nat_in(nat_of(&net->sites[e->site], e->to.ip.family), &e->to, &e->from, &inside, net->now_us)) {
		net->stats.filtered++;
		return;
	}
	h = host_with(net, e->site, &inside.ip);
	if (h == NULL || !h->is_up)
		return;
	net->stats.delivered++;
	trace(net, "", &e->from, &inside, e->data, e->len);
	h->ops->receive(h->ctx, &inside, &e->from, e->data, e->len, clock_of(net, h));
}

static void happen(struct sim_net *net, struct event *e)
{
	if (e->call == NULL) {
		arrive(net, e);
	} else {
		struct host *h = &net->hosts[e->host];
		e->call(h->ctx, e->data, e->len, clock_of(net, h));
	}
	free(e);
}

/* ---- time ---- */

static uint64_t wake_time(const struct sim_net *net, const struct host *h)
{
	uint64_t at_us = h->is_up ? h->ops->next_timeout(h->ctx) : FZ_NEVER_US;

	if (at_us == FZ_NEVER_US)
		return FZ_NEVER_US;
	at_us -= (uint64_t)h->clock_us;
	return (int64_t)(at_us - net->now_us) < 0 ? net->now_us : at_us;
}

static void wake(struct sim_net *net, struct host *h)
{
	if (h->turn_us != net->now_us)
		h->turns = 0;
	h->turn_us = net->now_us;
	if (++h->turns > TURNS_MAX)
		net->is_broken = true;
	h->ops->timeout(h->ctx, clock_of(net, h));
}

bool sim_run(struct sim_net *net, uint64_t end_us)
{
	while (!net->is_broken) {
		struct host *next = NULL;
		uint64_t at_us = end_us;
		for (int i = 0; i < net->n_hosts; i++) {
			uint64_t t = wake_time(net, &net->hosts[i]);
			if (t < at_us) {
				at_us = t;
				next = &net->hosts[i];
			}
		}
		if (net->n_events > 0 && net->heap[0]->at_us <= at_us && net->heap[0]->at_us < end_us) {
			net->now_us = net->heap[0]->at_us;
			happen(net, pop(net));
			continue;
		}
		net->now_us = at_us;
		if (next == NULL)
			return true;
		wake(net, next);
	}
	return false;
}
