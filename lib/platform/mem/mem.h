/* SPDX-License-Identifier: Apache-2.0 */
/* The in-memory network: its hosts, their queues, their streams. Everything happens inside of calls; only
 * fz_memnet_advance() moves time. */
#ifndef PLATFORM_MEM_MEM_H
#define PLATFORM_MEM_MEM_H

#include <assert.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"
#include "fzconn/platform.h"

/* Queue limits: like socket and device queues, what comes above is lost. */
enum { MEM_RX_MAX = 4096, MEM_TUN_IN_MAX = 1024, MEM_TUN_OUT_MAX = 4096, MEM_EVENTS_MAX = 8 };
enum { MEM_LISTENS_MAX = 8, MEM_SHOWN = 5 };
enum { MEM_RX_BUF = 65536, MEM_JOIN_MAX = 64, MEM_STREAM_MAX = 1 << 20 };

/* One datagram or one packet in a queue. */
struct mem_item {
	struct mem_item *next;
	uint64_t due_us; /* datagrams: time of arrival */
	struct fz_addr from, to;
	struct fz_pkt pkt; /* packets: facts; datagrams: data and len only */
	uint8_t ecn;
};

struct mem_queue {
	struct mem_item *head, **tail;
	size_t n;
};

/* A place where the host takes DNS requests. */
struct mem_listen {
	struct fz_addr addr;
	bool udp, tcp;
};

struct mem_ask; /* ask.c */

struct mem_host {
	struct fz_memnet *net;
	struct mem_host *next;
	struct fz_ip ip[2]; /* IPv4, IPv6 */
	bool tun_open, tun_blocked, woken;
	uint16_t port; /* 0 = sockets closed */
	uint8_t *rx_buf; /* what udp_recv returns */
	struct mem_queue rx, tun_in, tun_out;
	struct mem_item *taken; /* what fz_memnet_tun_take returned last */
	struct fz_netcfg cfg;
	struct fz_prefix *routes; /* of cfg, as the next two */
	struct fz_ip sentinels[FZ_DNS_SERVERS_MAX];
	char search_domain[256];
	struct fz_ip dns[FZ_DNS_SERVERS_MAX]; /* its own name servers */
	size_t dns_len;
	unsigned dns_flushes;
	bool has_cfg;
	struct mem_ask *asks; /* of all kinds and states, in the order of asking */
	struct mem_ask *shown[MEM_SHOWN]; /* results that were polled last */
	struct mem_listen listens[MEM_LISTENS_MAX];
	uint64_t next_request;
	uint8_t events[MEM_EVENTS_MAX];
	unsigned events_n;
	struct fz_platform_stats stats;
	struct mem_file *files;
	size_t disk, disk_used; /* bytes: most, now */
};

struct fz_memnet {
	const struct fz_env *env;
	uint64_t now_us;
	struct mem_host *hosts;
	struct mem_queue flight; /* ordered by due_us */
	struct fz_stream *streams; /* of all hosts */
	uint16_t next_port;
	bool offload;
	fz_memnet_hook hook;
	void *hook_ctx;
	fz_memnet_accept accept;
	void *accept_ctx;
};

/* queue.c */
void mem_queue_init(struct mem_queue *q);
/* A copy of bytes with FZ_PKT_HEADROOM in front; NULL without memory. */
struct mem_item *mem_item_new(struct fz_memnet *net, const uint8_t *data, size_t len);
void mem_queue_push(struct mem_queue *q, struct mem_item *item);
/* Keeps the order by time of arrival, and of sending among equals. */
void mem_queue_insert(struct mem_queue *q, struct mem_item *item);
struct mem_item *mem_queue_pop(struct mem_queue *q);
void mem_queue_clear(struct fz_memnet *net, struct mem_queue *q);

/* host.c */
extern const struct fz_platform_ops mem_ops;
/* Hand over every datagram whose time has come. */
void mem_deliver(struct fz_memnet *net);
/* Free a host that is in no list any more. */
void mem_host_destroy(struct mem_host *h);

/* ask.c */
int mem_dns_query(void *p, const struct fz_dns_query *query);
bool mem_dns_answer(void *p, struct fz_dns_answer *ret);
int mem_dns_listen(void *p, const struct fz_addr *addr, bool udp, bool tcp);
void mem_dns_unlisten(void *p, const struct fz_addr *addr);
bool mem_dns_request(void *p, struct fz_dns_request *ret);
int mem_dns_reply(void *p, uint64_t request, const void *data, size_t len);
int mem_resolve(void *p, uint64_t id, const char *name);
bool mem_resolved(void *p, struct fz_resolved *ret);
int mem_http_start(void *p, const struct fz_http_request *request);
bool mem_http_result(void *p, struct fz_http_result *ret);
void mem_http_cancel(void *p, uint64_t id);
void mem_ask_reset(void *p);
void mem_ask_close(void *p);
/* Bits of enum fz_ready, and the next time-out. */
uint32_t mem_ask_ready(struct mem_host *h);
uint64_t mem_ask_next(const struct mem_host *h);

/* stream.c */
int mem_stream_open(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret);
enum fz_stream_state mem_stream_state(void *p, const struct fz_stream *s);
const char *mem_stream_error(void *p, const struct fz_stream *s);
int mem_stream_send(void *p, struct fz_stream *s, const void *data, size_t len);
int mem_stream_recv(void *p, struct fz_stream *s, void *buf, size_t cap);
void mem_stream_close(void *p, struct fz_stream *s);
/* Does some stream of the host have news? Changes of state are told once. */
bool mem_streams_ready(struct mem_host *h);
void mem_streams_close_of(struct mem_host *h);
void mem_streams_free_all(struct fz_memnet *net);

/* files.c */
int mem_file_write(void *p, const char *path, const void *data, size_t len);
int mem_file_read(void *p, const char *path, void *buf, size_t cap);
int mem_file_remove(void *p, const char *path);
int mem_dir_make(void *p, const char *path);
int mem_dir_open(void *p, const char *path, struct fz_dir **ret, uint64_t *ret_changed_s);
bool mem_dir_next(void *p, struct fz_dir *d, char name[FZ_NAME_LEN]);
void mem_dir_close(void *p, struct fz_dir *d);
void mem_files_free(struct mem_host *h);

#endif
