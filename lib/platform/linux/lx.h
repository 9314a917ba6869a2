/* SPDX-License-Identifier: Apache-2.0 */
/* The Linux platform: its state and what its parts offer to each other. One instance belongs to one thread.
 */
#ifndef PLATFORM_LINUX_LX_H
#define PLATFORM_LINUX_LX_H

#include <assert.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "fzconn/error.h"
#include "fzconn/platform.h"

/* Marks our own sockets, so that the policy rules leave them out of the tunnel. */
#define LX_MARK 0xfd002021u
/* Routing tables; the rule that leads to each has its priority. */
#define LX_TABLE_USER 0x2021fd00u /* 100: resources */
#define LX_TABLE_LINK 0x2021fd01u /* 200: copies of directly connected networks */
#define LX_TABLE_INTERNET 0x2021fd02u /* 300: 0.0.0.0/0 and ::/0 */

#define LX_NAME_MAX 16 /* IFNAMSIZ */

/* What an epoll event belongs to: the low half of its data; the high half is the descriptor, or what the
 * owner said. */
enum lx_tag {
	LX_TAG_TUN,
	LX_TAG_UDP4,
	LX_TAG_UDP6,
	LX_TAG_WATCH,
	LX_TAG_STREAM,
	LX_TAG_STREAM_NAMES,
	LX_TAG_WAKE,
	LX_TAG_DNS_FILES,
	LX_TAG_RESOLVED,
	LX_TAG_DNS_QUERY,
	LX_TAG_DNS_UDP,
	LX_TAG_DNS_TCP,
	LX_TAG_DNS_CONN,
	LX_TAG_RESOLVE,
	LX_TAG_HTTP,
	LX_TAG_HTTP_NAMES
};
/* What a foreign library wants to hear of a descriptor, and hears. */
#define LX_READ 1u
#define LX_WRITE 2u

struct lx_tun {
	int fd; /* -1 = closed */
	char name[LX_NAME_MAX];
	uint32_t ifindex;
	uint32_t mtu;
	bool has_header; /* IFF_VNET_HDR is on */
	bool takes_tcp, takes_udp; /* super-packets of that kind */
	bool wants_out; /* EPOLLOUT is armed */
	unsigned refused; /* super-packets refused in a row */
};

struct lx_sock {
	int fd; /* -1 = closed */
	uint16_t port;
	bool gso;
	bool maybe_ready; /* a receive may give something */
	bool wants_out;
};

struct dnsres; /* ext/dnsres.h */
struct lx_rx; /* receive buffers, udp.c */
struct lx_net; /* netlink requests and what was applied, net.c */
struct lx_streams; /* streams and lookups under way, streams.c */
struct lx_queries; /* DNS queries under way, dnsquery.c */
struct lx_names; /* lookups of names, dnsname.c */
struct lx_listens; /* DNS listeners, dnslisten.c */
struct lx_http; /* HTTP requests, http.c */
struct lx_fetch; /* one of them */
struct lx_query; /* a DNS query */
struct nft; /* nftmsg.h */
struct lx_watch; /* netlink notifications, watch.c */
struct lx_dns; /* the system's name servers, dns.c */

struct lx {
	const struct fz_env *env;
	struct fz_platform_linux_opts opts;
	struct fz_platform_stats stats;
	int ep;
	int wake; /* eventfd */
	struct lx_tun tun;
	struct lx_sock udp[2]; /* IPv4, IPv6 */
	unsigned udp_first; /* the socket that the next receive asks first */
	struct lx_rx *rx;
	struct lx_net *net;
	struct nft *forward; /* holds the rules of forwarding; NULL = it is off */
	struct lx_watch *watch;
	struct lx_dns *dns;
	bool tun_lost; /* to be told by net_event */
	bool tun_dead; /* reads fail: not in the epoll set any more */
	struct lx_streams *streams; /* NULL until the first is opened */
	struct lx_queries *queries; /* likewise */
	struct lx_names *names;
	struct lx_listens *listens;
	struct lx_http *http;
};

/* loop.c */
uint64_t lx_now_us(void *p);
int lx_loop_add(struct lx *lx, int fd, enum lx_tag tag);
void lx_loop_want_out(struct lx *lx, int fd, enum lx_tag tag, bool out);
/* The same with a key of the owner's choice instead of the descriptor; LX_READ, LX_WRITE. */
int lx_loop_add_key(struct lx *lx, int fd, enum lx_tag tag, uint32_t key, unsigned want);
void lx_loop_mod_key(struct lx *lx, int fd, enum lx_tag tag, uint32_t key, unsigned want);
void lx_loop_del(struct lx *lx, int fd);
/* For libraries that open and close descriptors inside: LX_READ, LX_WRITE, 0 = forget it. */
void lx_loop_watch(struct lx *lx, int fd, unsigned want, enum lx_tag tag);
/* Make a socket bypass the tunnel. FZ_ERR_PERM: it would loop. As a hook: ctx is the platform. */
int lx_mark(void *ctx, int fd);
int lx_wait(void *p, uint64_t until_us, uint32_t *ret_ready);
void lx_wake(void *p);
int lx_wait_fd(void *p);
uint64_t lx_next_timeout(void *p);

/* tun.c */
int lx_tun_open(void *p, const struct fz_tun_opts *opts);
int lx_tun_read(void *p, uint8_t *buf, size_t cap, struct fz_pkt *ret);
int lx_tun_write(void *p, const struct fz_pkt *pkt);
bool lx_tun_offload(void *p);
void lx_tun_close(void *p);
/* The device is gone: tell once, stop looking at it. */
void lx_tun_mark_lost(struct lx *lx);

/* udp.c */
int lx_udp_open(void *p, uint16_t port);
int lx_udp_send(void *p, struct fz_udp_batch *batch);
int lx_udp_recv(void *p, struct fz_udp_batch *ret, size_t max);
uint16_t lx_udp_port(void *p, uint8_t family);
void lx_udp_close(void *p);

/* net.c */
int lx_net_open(struct lx *lx); /* finds the interface of lx->tun and prepares it */
void lx_net_close(struct lx *lx); /* the device is gone */
void lx_net_free(struct lx *lx);
int lx_net_apply(void *p, const struct fz_netcfg *cfg);
void lx_net_clear(void *p);
/* Are policy rules in force: then a socket without mark would loop. */
bool lx_net_has_policy(const struct lx *lx);
/* Directly connected networks may have changed. */
void lx_net_sync_links(struct lx *lx);

/* forward.c */
int lx_forward(void *p, bool on);

/* watch.c */
int lx_watch_open(struct lx *lx);
void lx_watch_close(struct lx *lx);
void lx_watch_read(struct lx *lx); /* the socket is readable */
uint64_t lx_watch_next(const struct lx *lx);
void lx_watch_run(struct lx *lx, uint64_t now_us); /* a deadline may have come */
bool lx_watch_pending(const struct lx *lx);
int lx_net_event(void *p);

/* dns.c */
int lx_dns_open(struct lx *lx);
void lx_dns_close(struct lx *lx);
void lx_dns_recover(struct lx *lx); /* the device is ours: undo what a crash left */
void lx_dns_apply(struct lx *lx, const struct fz_netcfg *cfg);
void lx_dns_clear(struct lx *lx);
void lx_dns_look(struct lx *lx, uint64_t now_us); /* something happened in the network */
void lx_dns_event(struct lx *lx, enum lx_tag tag);
uint64_t lx_dns_next(const struct lx *lx);
void lx_dns_run(struct lx *lx, uint64_t now_us);
bool lx_dns_pending(const struct lx *lx);
bool lx_dns_take_change(struct lx *lx);
size_t lx_dns_servers(void *p, struct fz_ip *ret, size_t cap);
/* Before a lookup: while the system's resolver asks the tunnel, ours asks those that it would ask without. */
void lx_dns_guide(struct lx *lx, struct dnsres *names);
void lx_dns_flush(void *p);

/* streams.c */
int lx_stream_open(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret);
enum fz_stream_state lx_stream_state(void *p, const struct fz_stream *s);
const char *lx_stream_error(void *p, const struct fz_stream *s);
int lx_stream_send(void *p, struct fz_stream *s, const void *data, size_t len);
int lx_stream_recv(void *p, struct fz_stream *s, void *buf, size_t cap);
void lx_stream_close(void *p, struct fz_stream *s);
void lx_streams_close(struct lx *lx);
uint64_t lx_streams_next(struct lx *lx);
/* All drive connections; true when some stream may be read, written or have changed its state. */
bool lx_streams_event(struct lx *lx, int fd, unsigned ready);
bool lx_stream_names_event(struct lx *lx, int fd, unsigned ready);
bool lx_streams_run(struct lx *lx, uint64_t now_us);

/* files.c */
int lx_file_write(void *p, const char *path, const void *data, size_t len);
int lx_file_read(void *p, const char *path, void *buf, size_t cap);
int lx_file_remove(void *p, const char *path);
int lx_dir_make(void *p, const char *path);
int lx_dir_open(void *p, const char *path, struct fz_dir **ret, uint64_t *ret_changed_s);
bool lx_dir_next(void *p, struct fz_dir *d, char name[FZ_NAME_LEN]);
void lx_dir_close(void *p, struct fz_dir *d);
/* ask.c */
void lx_ask_reset(void *p);
void lx_ask_close(void *p);
uint64_t lx_ask_next(const struct lx *lx);
/* Bits of enum fz_ready. */
uint32_t lx_ask_run(struct lx *lx, uint64_t now_us);

/* dnsquery.c */
int lx_dns_query(void *p, const struct fz_dns_query *query);
bool lx_dns_answer(void *p, struct fz_dns_answer *ret);
/* All tell whether there are results. */
bool lx_dns_query_event(struct lx *lx, uint32_t slot, uint32_t events);
bool lx_dns_query_run(struct lx *lx, uint64_t now_us);
uint64_t lx_dns_query_next(const struct lx *lx);
void lx_dns_query_fetched(struct lx_query *q, const struct fz_http_result *r);
void lx_dns_query_reset(struct lx *lx);
void lx_dns_query_close(struct lx *lx);

/* dnslisten.c */
int lx_dns_listen(void *p, const struct fz_addr *addr, bool udp, bool tcp);
void lx_dns_unlisten(void *p, const struct fz_addr *addr);
bool lx_dns_request(void *p, struct fz_dns_request *ret);
int lx_dns_reply(void *p, uint64_t request, const void *data, size_t len);
/* True: there may be requests. */
bool lx_dns_listen_event(struct lx *lx, enum lx_tag tag, uint32_t key, unsigned ready);
uint64_t lx_dns_listen_next(const struct lx *lx);
void lx_dns_listen_run(struct lx *lx, uint64_t now_us);
void lx_dns_listen_close(struct lx *lx);

/* dnsname.c */
int lx_resolve(void *p, uint64_t id, const char *name);
bool lx_resolved(void *p, struct fz_resolved *ret);
void lx_name_event(struct lx *lx, int fd, unsigned ready);
bool lx_name_run(struct lx *lx, uint64_t now_us);
uint64_t lx_name_next(const struct lx *lx);
void lx_name_reset(struct lx *lx);
void lx_name_close(struct lx *lx);

/* http.c */
int lx_http_start(void *p, const struct fz_http_request *request);
bool lx_http_result(void *p, struct fz_http_result *ret);
void lx_http_cancel(void *p, uint64_t id);
void lx_http_event(struct lx *lx, enum lx_tag tag, int fd, unsigned ready);
/* True: there are results. */
bool lx_http_run(struct lx *lx, uint64_t now_us);
uint64_t lx_http_next(const struct lx *lx);
void lx_http_reset(struct lx *lx);
void lx_http_close(struct lx *lx);
/* The same for a query: lx_dns_query_fetched() gets the result, unless it is cancelled; then the fetch is
 * gone. */
int lx_fetch_start(struct lx *lx, const struct fz_http_request *req, struct lx_query *query,
		   struct lx_fetch **ret, uint64_t now_us);
void lx_fetch_cancel(struct lx_fetch *f);

#endif
