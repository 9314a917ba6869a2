/* SPDX-License-Identifier: Apache-2.0 */
/* A network in memory with a clock turned by hand: sites behind NAT boxes, hosts at sites, links that lose,
 * duplicate, delay and reorder. Equal seeds give equal runs. It does not know what runs in the hosts:
 * anything with the three functions of struct sim_host_ops can be attached, bare path agents as well as whole
 * nodes. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "fzconn/addr.h"
#include "nat.h"

#define SIM_SITES_MAX 16
#define SIM_HOSTS_MAX 1040
#define SIM_IPS_MAX 4
/* More at one time, for all hosts and for each, means that somebody floods: the run fails. */
#define SIM_EVENTS_MAX 8192
#define SIM_EVENTS_EACH 256
#define SIM_DATAGRAM_MAX 1472

/* A site's way to the middle of the network; both directions of a datagram pay it. */
struct sim_link {
	uint64_t delay_us, jitter_us; /* delay + [0, jitter): reordering included */
	uint32_t loss_ppm, dup_ppm;
};

struct sim_site_opts {
	struct nat_opts nat4, nat6;
	struct sim_link link;
};

struct sim_host_ops {
	void (*receive)(void *ctx, const struct fz_addr *to, const struct fz_addr *from, const uint8_t *data,
			size_t len, uint64_t now_us);
	void (*timeout)(void *ctx, uint64_t now_us);
	uint64_t (*next_timeout)(const void *ctx);
};

struct sim_net;
/* A call at a given time; data is a copy made by sim_post(). */
typedef void sim_call(void *ctx, const void *data, size_t len, uint64_t now_us);

struct sim_stats {
	uint64_t sent, delivered, lost, duplicated, filtered, unroutable;
	unsigned max_events;
};

struct sim_net *sim_new(uint64_t seed);
void sim_free(struct sim_net *net);
/* Uniform in [0, n); the run's only source of chance. */
uint64_t sim_random(struct sim_net *net, uint64_t n);

int sim_add_site(struct sim_net *net, const struct sim_site_opts *opts);
struct nat *sim_nat(struct sim_net *net, int site, enum fz_family family);
struct sim_link *sim_site_link(struct sim_net *net, int site);
int sim_add_host(struct sim_net *net, int site, const struct sim_host_ops *ops, void *ctx);
void sim_add_ip(struct sim_net *net, int host, const struct fz_ip *ip);
/* A host that is down neither receives nor wakes up. */
void sim_set_up(struct sim_net *net, int host, bool is_up);
/* Somebody called the host without the network: its next timeout may be another one. */
void sim_touch(struct sim_net *net, int host);
/* The host's clock leaps: what it is told as the time is off by so much more from now on. */
void sim_jump_clock(struct sim_net *net, int host, int64_t by_us);

void sim_send(struct sim_net *net, int host, const struct fz_addr *from, const struct fz_addr *to,
	      const void *data, size_t len);
/* Deliver a message outside the network (a portal's, say), in order of time. */
void sim_post(struct sim_net *net, int host, uint64_t after_us, sim_call *call, const void *data, size_t len);

/* Print every datagram and its fate. */
void sim_set_trace(struct sim_net *net, bool on);

uint64_t sim_now(const struct sim_net *net);
/* As the host sees it. */
uint64_t sim_host_now(const struct sim_net *net, int host);
/* Run until the network's clock shows end_us. False: broken (a flood, or a host that never lets time pass).
 */
bool sim_run(struct sim_net *net, uint64_t end_us);
const struct sim_stats *sim_stats(const struct sim_net *net);

#endif
