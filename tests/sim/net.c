/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/time.h"
#include "fzconn/env.h"

#define LAN_DELAY_US 200
/* Turns of one host at one point of time; a host that needs more never comes to rest. */
#define TURNS_MAX 1000

/* Who has an address; the same one may be in use at several sites. */
struct address {
	struct fz_map_link link;
	struct fz_ip ip;
	int host;
};

struct host {
	int site;
	const struct sim_host_ops *ops;
	void *ctx;
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
	uint64_t wake_us[SIM_HOSTS_MAX]; /* by the network's clock; as of the last call of the host */
	struct address addresses[SIM_HOSTS_MAX * SIM_IPS_MAX];
	unsigned n_addresses;
	struct fz_map by_ip;
	struct event **heap;
	unsigned n_events, heap_cap;
	bool is_broken, traces;
	struct sim_stats stats;
};

struct sim_net *sim_new(uint64_t seed)
{
	struct sim_net *net = calloc(1, sizeof(*net));

	if (net == NULL || fz_map_init(&net->by_ip, fz_env_default(), 0) != 0)
		abort();
	net->state = seed;
	net->now_us = FZ_SEC(1000);
	return net;
}

void sim_free(struct sim_net *net)
{
	for (unsigned i = 0; i < net->n_events; i++)
		free(net->heap[i]);
	free(net->heap);
	fz_map_clear(&net->by_ip, fz_env_default());
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

	if (i == SIM_EVENTS_MAX + (unsigned)net->n_hosts * SIM_EVENTS_EACH) {
		net->is_broken = true;
		free(e);
		return;
	}
	if (i == net->heap_cap) {
		net->heap_cap = i ? 2 * i : 256;
		net->heap = realloc(net->heap, net->heap_cap * sizeof(struct event *));
		if (net->heap == NULL)
			abort();
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
	net->wake_us[net->n_hosts] = FZ_NEVER_US; /* asked when it runs */
	return net->n_hosts++;
}

void sim_add_ip(struct sim_net *net, int host, const struct fz_ip *ip)
{
	struct host *h = &net->hosts[host];

	struct address *a = &net->addresses[net->n_addresses++];

	if (h->n_ips++ == SIM_IPS_MAX)
		abort();
	a->ip = *ip;
	a->host = host;
	fz_map_insert(&net->by_ip, fz_env_default(), &a->link, fz_map_hash(&net->by_ip, ip, sizeof(*ip)));
}

void sim_set_up(struct sim_net *net, int host, bool is_up)
{
	net->hosts[host].is_up = is_up;
	sim_touch(net, host);
}

void sim_jump_clock(struct sim_net *net, int host, int64_t by_us)
{
	net->hosts[host].clock_us += by_us;
	sim_touch(net, host);
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
	struct fz_map_link *l = fz_map_first(&net->by_ip, fz_map_hash(&net->by_ip, ip, sizeof(*ip)));
	struct host *found = NULL;

	for (; l; l = fz_map_next(l)) {
		const struct address *a = fz_container(l, struct address, link);
		struct host *h = &net->hosts[a->host];
		if (fz_ip_equal(&a->ip, ip) && (site < 0 || h->site == site) && (!found || h < found))
			found = h;
	}
	return found;
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
	sim_touch(net, (int)(h - net->hosts));
}

static void happen(struct sim_net *net, struct event *e)
{
	if (e->call == NULL) {
		arrive(net, e);
	} else {
		struct host *h = &net->hosts[e->host];
		e->call(h->ctx, e->data, e->len, clock_of(net, h));
		sim_touch(net, e->host);
	}
	free(e);
}

/* ---- time ---- */

void sim_touch(struct sim_net *net, int host)
{
	const struct host *h = &net->hosts[host];
	uint64_t at_us = h->is_up ? h->ops->next_timeout(h->ctx) : FZ_NEVER_US;

	if (at_us != FZ_NEVER_US) {
		at_us -= (uint64_t)h->clock_us;
		if ((int64_t)(at_us - net->now_us) < 0)
			at_us = net->now_us;
	}
	net->wake_us[host] = at_us;
}

/* The host that wakes up first before end_us, -1 = none. */
static int first_to_wake(const struct sim_net *net, uint64_t end_us, uint64_t *ret_us)
{
	int first = -1;

	*ret_us = end_us;
	for (int i = 0; i < net->n_hosts; i++) {
		/* What was due before is due now. */
		uint64_t at_us = net->wake_us[i] < net->now_us ? net->now_us : net->wake_us[i];
		if (at_us < *ret_us) {
			*ret_us = at_us;
			first = i;
		}
	}
	return first;
}

static void wake(struct sim_net *net, struct host *h)
{
	if (h->turn_us != net->now_us)
		h->turns = 0;
	h->turn_us = net->now_us;
	if (++h->turns > TURNS_MAX)
		net->is_broken = true;
	h->ops->timeout(h->ctx, clock_of(net, h));
	sim_touch(net, (int)(h - net->hosts));
}

bool sim_run(struct sim_net *net, uint64_t end_us)
{
	for (int i = 0; i < net->n_hosts; i++)
		sim_touch(net, i);
	while (!net->is_broken) {
		uint64_t at_us;
		int next = first_to_wake(net, end_us, &at_us);
		if (net->n_events > 0 && net->heap[0]->at_us <= at_us && net->heap[0]->at_us < end_us) {
			net->now_us = net->heap[0]->at_us;
			happen(net, pop(net));
			continue;
		}
		net->now_us = at_us;
		if (next < 0)
			return true;
		wake(net, &net->hosts[next]);
	}
	return false;
}
