/* SPDX-License-Identifier: Apache-2.0 */
/* A whole client or gateway, used through its public interface alone, as a host of the simulated network; and
 * the network's portal, whose lines run beside it. */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include "fzconn/client.h"
#include "fzconn/gateway.h"
#include "host_dns.h"
#include "net.h"
#include "stub.h"

struct device;

/* The portal of a network, with a line to every device. */
struct lines {
	struct sim_net *net;
	struct stub *stub;
	struct device *devices[STUB_LINES_MAX];
	unsigned n;
	int64_t wall_us; /* wall clock minus the network's clock */
	struct host_names names;
};
void lines_init(struct lines *l, struct sim_net *net);
void lines_clear(struct lines *l);
uint64_t lines_unix_s(const struct lines *l);

struct device_opts {
	bool is_gateway;
	unsigned number; /* from 1; one series per role */
	struct fz_ip ip4, ip6; /* family none = absent */
	uint64_t portal_delay_us;
	const struct fz_env *env; /* NULL = a seeded one */
	const struct fz_mem *mem; /* of the seeded environment; NULL = the C library's */
	uint64_t seed;
	bool is_verbose; /* prints its log */
};

/* What it told so far. */
struct device_stats {
	unsigned portal_up, portal_down, ready, peer_up, peer_path, peer_down, granted, refused, revoked,
		netcfg, rebind, dead;
	unsigned lists; /* changes of the list of resources */
	unsigned routes; /* in the last NETCFG */
	struct fz_prefix nets[32]; /* the first of them */
	struct fz_ip dns[8]; /* likewise */
	unsigned dns_len;
	char search_domain[64];
	char last_reason[192]; /* of the last REFUSED or PEER_DOWN */
	uint64_t last_up_us; /* network's time */
	unsigned max_batch; /* datagrams in the largest batch */
	uint64_t datagrams;
};

struct device_peer {
	char id[37];
	uint32_t number; /* by which its own device calls it */
	bool has_path, relayed, is_up;
};

struct device {
	struct lines *lines;
	unsigned line;
	int host;
	struct device_opts opts;
	struct fz_client *client; /* one of the two */
	struct fz_gateway *gateway;
	struct fz_env env;
	uint64_t seed;
	uint16_t port;
	uint32_t stream; /* generation of the stream; odd = wanted */
	bool stream_open;
	struct device_stats stats;
	struct device_peer *peers;
	unsigned n_peers, peers_cap;
	struct host_dns dns;
	/* A packet for its TUN; set by the test. */
	void (*packet)(void *ctx, struct device *d, struct fz_pkt *pkt);
	void *packet_ctx;
};

/* FZ_ERR_NOMEM only with an environment of the caller's. */
int device_new(struct lines *l, int site, const struct device_opts *opts, struct device **ret);
void device_free(struct device *d);
/* A packet from its TUN. */
void device_tun(struct device *d, const void *packet, size_t len);
/* The same a moment later, from within a call of the device. */
void device_tun_later(struct device *d, const void *packet, size_t len);
/* The system's name server, text of its address. */
void device_system_dns(struct device *d, const char *server);
void device_tun_super(struct device *d, struct fz_pkt *pkt);
/* The process dies without a word and another one starts, with a new key. */
void device_restart(struct device *d);
void device_reset(struct device *d); /* client */
void device_shutdown(struct device *d);
/* What it knows of a peer of the other role; NULL = it never heard of it. */
const struct device_peer *device_peer(const struct device *d, unsigned number);
uint64_t device_counter(const struct device *d, const char *name);
/* All counters that are not zero. */
void device_print(const struct device *d);
/* Let it speak after a direct call on its object. */
void device_drain(struct device *d);

#endif
