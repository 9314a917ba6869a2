/* SPDX-License-Identifier: Apache-2.0 */
/** @file platform.h
 *  The backend table: everything the library needs from an operating system, as one table of functions.
 *  A port fills it and runs the conformance test (tests/platform). The library calls it from the thread that
 *  calls fz_run_dispatch() and from no other. No function may block, but ::fz_platform_ops.wait. */
#ifndef FZCONN_PLATFORM_H
#define FZCONN_PLATFORM_H

#include "addr.h"
#include "ask.h"
#include "env.h"
#include "packet.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the table below. A table of an older version lacks the members marked "since" a later one. */
#define FZ_PLATFORM_VERSION 1

/** UDP port that Firezone nodes prefer: 49152 + 3473. */
#define FZ_UDP_PORT 52625

/** What has become ready; bits of the result of ::fz_platform_ops.wait. */
enum fz_ready {
	FZ_READY_TUN = 1, /**< tun_read may give packets */
	FZ_READY_UDP = 2, /**< udp_recv may give datagrams: call it until 0, it asks the system no more often
			   * than needed */
	FZ_READY_UDP_SEND = 4, /**< udp_send may be tried again after FZ_ERR_AGAIN */
	FZ_READY_STREAM = 8, /**< a stream changed state, or may be read or written */
	FZ_READY_NET = 16, /**< net_event may give a change */
	FZ_READY_TUN_WRITE = 32, /**< tun_write may be tried again after FZ_ERR_AGAIN */
	FZ_READY_WAKE = 64, /**< wake was called since the last time that this bit was set */
	FZ_READY_DNS = 128, /**< dns_answer, dns_request or resolved may give something */
	FZ_READY_HTTP = 256 /**< http_result may give something */
};

/** How to open the tunnel device. */
struct fz_tun_opts {
	size_t size; /**< sizeof(struct fz_tun_opts) */
	const char *name; /**< interface name; NULL = "tun-firezone" */
	int fd; /**< >= 1: adopt this descriptor of an open device (Linux: IFF_TUN | IFF_NO_PI, with or
		 * without IFF_VNET_HDR) instead; it is duplicated, not taken. The device may live in another
		 * network namespace: then net_apply() acts there, with routes in its main table and no rules,
		 * or does nothing where the process may not enter it. */
	uint32_t mtu; /**< 0 = ::FZ_TUNNEL_MTU */
};

/** The wanted state of the tunnel interface. The platform works out what to change. */
struct fz_netcfg {
	struct fz_ip ipv4, ipv6; /**< our tunnel addresses (/32, /128); family none = this family is off */
	const struct fz_prefix
		*routes; /**< networks to route into the tunnel; 0.0.0.0/0 and ::/0 go to a table of
			  *   their own that loses against directly connected networks */
	size_t routes_len; /**< their number */
	const struct fz_ip *dns; /**< name servers that the system is to ask while the tunnel is up, in this
				  *   order: the sentinels. None = its own stay. */
	size_t dns_len; /**< their number; above ::FZ_DNS_SERVERS_MAX is FZ_ERR_INVAL */
	const char *search_domain; /**< appended to names without a dot; NULL = none */
};

/** The most name servers of a system, or sentinels, that are looked at; further ones are counted and left
 *  out. */
#define FZ_DNS_SERVERS_MAX 64

/** What the platform did and dropped, since it was created. Counters only grow. */
struct fz_platform_stats {
	uint64_t tun_read; /**< packets and super-packets read */
	uint64_t tun_read_bad; /**< dropped: no IP packet, or offload facts that do not fit it */
	uint64_t tun_written; /**< packets and super-packets written */
	uint64_t tun_write_failed; /**< dropped: device down, packet refused, no memory */
	uint64_t tun_super_refused; /**< super-packets that the device turned down as malformed */
	uint64_t udp_sent; /**< datagrams */
	uint64_t udp_send_failed; /**< datagrams dropped: no route, source address gone, blocked */
	uint64_t udp_received; /**< datagrams */
	uint64_t udp_recv_bad; /**< dropped: longer than the buffer, or without a local address */
	uint64_t udp_gso_fallbacks; /**< batches sent one by one because the system refused them whole */
	uint64_t dns_servers_bad; /**< entries of the system's resolver configuration left out: no address,
				   *   too many, text too long */
	uint64_t dns_control_failed; /**< times that the system's name servers could not be read or set */
	uint64_t dns_queries; /**< DNS queries sent */
	uint64_t dns_failed; /**< of these, how many got no answer */
	uint64_t dns_strange; /**< datagrams and messages that answer no query: forged, or much too late */
	uint64_t dns_requests; /**< DNS requests received by our listeners */
	uint64_t dns_refused; /**< connections closed because of a limit, a time-out or bad framing, and
			       *   datagrams too short for a DNS message */
	uint64_t http_requests; /**< HTTP requests sent */
	uint64_t http_failed; /**< of these, how many got no answer */
};

/** Where and how to connect a stream. */
struct fz_stream_opts {
	size_t size; /**< sizeof(struct fz_stream_opts) */
	const char *host; /**< name or literal, IPv6 without brackets */
	uint16_t port; /**< TCP port */
	bool tls; /**< verify the certificate against the system's roots and @ref host */
	uint32_t connect_ms; /**< deadline for TCP, 0 = 5000 */
	uint32_t handshake_ms; /**< deadline for everything up to the open state, 0 = 15000 */
	uint32_t reserved; /**< zero */
	const struct fz_ip *addrs; /**< addresses of @ref host that were found by other means; the system's
				    *   resolver is not asked then. Borrowed for the call. */
	size_t addrs_len; /**< their number */
};

/** Life of a stream. */
enum fz_stream_state {
	FZ_STREAM_CONNECTING = 0,
	FZ_STREAM_OPEN = 1,
	FZ_STREAM_FAILED = 2 /**< stream_error tells why; only stream_close is left */
};

/** A connection to a host by name, with TLS when asked for. */
struct fz_stream;

/** A directory that is being listed. */
struct fz_dir;
/** Longest name in a directory that dir_next gives, with its NUL. */
#define FZ_NAME_LEN 256

/** Changes of the host's network. */
enum fz_net_event {
	FZ_NET_CHANGED =
		1, /**< default route, own address or carrier changed: what was learnt about paths is stale */
	FZ_NET_TUN_LOST = 2, /**< the tunnel interface was deleted from outside */
	FZ_NET_DNS_CHANGED = 3 /**< dns_servers() has another answer now */
};

/** The table. @p p is always fz_platform.ctx. Functions return 0 or a negative enum fz_err unless said
 * otherwise. */
struct fz_platform_ops {
	uint32_t version; /**< ::FZ_PLATFORM_VERSION of the header it was compiled with */

	/** Monotonic µs, any epoch; counts time in suspend where the system can tell. */
	uint64_t (*now_us)(void *p);
	/** Wall time, ns since 1970 UTC. */
	uint64_t (*unix_ns)(void *p);

	/** A descriptor that is readable whenever wait() would return something at once, next_timeout()
	 * apart; -1 = there is none. */
	int (*wait_fd)(void *p);
	/** When to call wait() at the latest, for the platform's own affairs (streams, settling of network
	 * changes): absolute µs or ::FZ_NEVER_US. */
	uint64_t (*next_timeout)(void *p);
	/** Sleep until something is ready or @p until_us has come (0 = only look). Sets bits of enum
	 * fz_ready; none at the deadline or after a signal. Level-triggered: what was not consumed is
	 * reported again. Runs the platform's own due affairs. */
	int (*wait)(void *p, uint64_t until_us, uint32_t *ret_ready);
	/** Make the wait() under way return with ::FZ_READY_WAKE, or the next one if none is. Called from any
	 * thread and from signal handlers, so it must be async-signal-safe. */
	void (*wake)(void *p);

	/** Create or adopt the device; it stays down until net_apply().
	 *  FZ_ERR_PERM lacks privileges, FZ_ERR_NOT_FOUND no /dev/net/tun, FZ_ERR_STATE name in use. */
	int (*tun_open)(void *p, const struct fz_tun_opts *opts);
	/** Read one packet or super-packet to @p buf + ::FZ_PKT_HEADROOM; @p cap at least ::FZ_PKT_HEADROOM +
	 *  ::FZ_SUPER_MAX. 1 = got one, 0 = none now, negative = the device is gone. */
	int (*tun_read)(void *p, uint8_t *buf, size_t cap, struct fz_pkt *ret);
	/** Write one packet; the ::FZ_PKT_HEADROOM bytes before its data may be overwritten, and its checksum
	 *  is completed in place where the device cannot do that.
	 *  FZ_ERR_UNSUPPORTED: the device takes no super-packets, or not this one: cut it and write the
	 * pieces. FZ_ERR_AGAIN: queue full, wait for ::FZ_READY_TUN_WRITE or drop. FZ_ERR_IO: dropped and
	 * counted. FZ_ERR_DEAD: the device is gone. */
	int (*tun_write)(void *p, const struct fz_pkt *pkt);
	/** Does the device take and give super-packets? May change from true to false at any time. */
	bool (*tun_offload)(void *p);
	/** Close the device; the interface of one that tun_open made vanishes. */
	void (*tun_close)(void *p);

	/** Open the sockets of both families on @p port, or on any port where that one is taken. One family
	 * is enough. A second call closes and opens anew. */
	int (*udp_open)(void *p, uint16_t port);
	/** Send all datagrams of a batch. FZ_ERR_AGAIN: the datagrams that are left (data and len were moved
	 *  past those that were sent) wait for ::FZ_READY_UDP_SEND: call again with the same batch, or drop
	 * it. FZ_ERR_STATE: no socket of this family. Other errors concern this batch only: what could be
	 * sent was sent, the rest is counted and dropped. */
	int (*udp_send)(void *p, struct fz_udp_batch *batch);
	/** Receive up to @p max batches into memory of the platform, valid until the next call; their bytes
	 * may be overwritten. Returns their number, 0 when there is none until wait() says ::FZ_READY_UDP
	 * again. */
	int (*udp_recv)(void *p, struct fz_udp_batch *ret, size_t max);
	/** Port of the open socket of a family (enum fz_family), 0 = there is none. */
	uint16_t (*udp_port)(void *p, uint8_t family);
	/** Close the sockets of both families. */
	void (*udp_close)(void *p);

	/** Start to connect; the stream's packets bypass the tunnel. */
	int (*stream_open)(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret);
	/** How far the stream is. */
	enum fz_stream_state (*stream_state)(void *p, const struct fz_stream *s);
	/** One line about what failed, without secrets; valid until stream_close. */
	const char *(*stream_error)(void *p, const struct fz_stream *s);
	/** Bytes taken; FZ_ERR_AGAIN = none now. Any other error ends the stream. */
	int (*stream_send)(void *p, struct fz_stream *s, const void *data, size_t len);
	/** Bytes read: read until FZ_ERR_AGAIN, which means that there are none now; 0 = the other side
	 * closed. Any other error ends the stream.
	 */
	int (*stream_recv)(void *p, struct fz_stream *s, void *buf, size_t cap);
	/** Close and free it. */
	void (*stream_close)(void *p, struct fz_stream *s);

	/** Make the tunnel interface, its addresses, routes and policy rules as described; idempotent.
	 *  One family may fail (no IPv6 on this host): a warning, not an error. */
	int (*net_apply)(void *p, const struct fz_netcfg *cfg);
	/** Remove everything that net_apply() added. */
	void (*net_clear)(void *p);
	/** For gateways, after tun_open(): let the host forward packets between the tunnel and its other
	 *  interfaces, and masquerade what leaves with a client's tunnel address; or undo the latter. NULL:
	 *  this system cannot. FZ_ERR_PERM, FZ_ERR_UNSUPPORTED: not all of it could be done; the log says
	 *  what the administrator has to do. */
	int (*forward)(void *p, bool on);
	/** Next change of the host's network (enum fz_net_event); 0 = none. Bursts of changes arrive as one.
	 */
	int (*net_event)(void *p);
	/** The system's own name servers, as it would ask them without the tunnel: never a sentinel of the
	 *  last net_apply(), each once, in the system's order, link-local ones left out. Returns how many of
	 *  them were stored, 0 = none are known. */
	size_t (*dns_servers)(void *p, struct fz_ip *ret, size_t cap);
	/** Names mean something else now (resources changed): forget what the system's resolver remembers. */
	void (*dns_flush)(void *p);

	/** Small files of the program itself, by absolute path: its state and its queues. None of these waits
	 *  for the disk: what was written survives the end of the process, not that of the machine. Symbolic
	 *  links at the end of a path are not followed.
	 *
	 *  Write a whole file, mode 0600; who reads, also after a kill in between, sees the old one or the
	 * new one. For a moment the same name with ".tmp" behind it exists, and stays when the process is
	 * killed then. The directory must be there: FZ_ERR_NOT_FOUND. FZ_ERR_FULL: no room on the disk;
	 * FZ_ERR_PERM; FZ_ERR_IO. */
	int (*file_write)(void *p, const char *path, const void *data, size_t len);
	/** Read a whole regular file: its length. FZ_ERR_NOT_FOUND; FZ_ERR_NOSPACE: longer than @p cap;
	 *  FZ_ERR_PERM; FZ_ERR_IO, also for what is no regular file. */
	int (*file_read)(void *p, const char *path, void *buf, size_t cap);
	/** Remove a file, or a directory that is empty: FZ_ERR_STATE = it is not. FZ_ERR_NOT_FOUND,
	 *  FZ_ERR_PERM, FZ_ERR_IO. */
	int (*file_remove)(void *p, const char *path);
	/** Make a directory, mode 0700, and those above it that are missing. One that exists is fine. Errors
	 *  as file_write. */
	int (*dir_make)(void *p, const char *path);
	/** Begin to list a directory. @p ret_changed_s: when it was changed last, unix seconds.
	 *  FZ_ERR_NOT_FOUND, FZ_ERR_PERM, FZ_ERR_IO, FZ_ERR_NOMEM. */
	int (*dir_open)(void *p, const char *path, struct fz_dir **ret, uint64_t *ret_changed_s);
	/** Next name in it, in no order and without "." and ".."; false = that was all. What is added or
	 *  removed meanwhile may be named or not. Longer names than the buffer holds are left out. */
	bool (*dir_next)(void *p, struct fz_dir *d, char name[FZ_NAME_LEN]);
	/** End the listing. */
	void (*dir_close)(void *p, struct fz_dir *d);
	/** Send a DNS query; its answer comes from dns_answer(). FZ_ERR_FULL: 1,000 are under way. */
	int (*dns_query)(void *p, const struct fz_dns_query *query);
	/** Next answer, or failure; its bytes are valid until the next call. False = none now. */
	bool (*dns_answer)(void *p, struct fz_dns_answer *ret);
	/** Take DNS requests at an address of ours, from now on by these transports; the address may come
	 *  later than the listener. Framing, limits and time-outs of TCP are the platform's affair.
	 *  FZ_ERR_STATE: somebody else has the port. FZ_ERR_FULL: 8 addresses at most. */
	int (*dns_listen)(void *p, const struct fz_addr *addr, bool udp, bool tcp);
	/** No longer; its connections are closed. An unknown address is fine. */
	void (*dns_unlisten)(void *p, const struct fz_addr *addr);
	/** Next request; its bytes are valid until the next call. False = none now. */
	bool (*dns_request)(void *p, struct fz_dns_request *ret);
	/** Answer a request; it leaves from the address that was asked. @p len 0 = there will be no answer.
	 *  FZ_ERR_NOT_FOUND: the one who asked has gone. */
	int (*dns_reply)(void *p, uint64_t request, const void *data, size_t len);

	/** Look up the addresses of a host, around the tunnel, as the system does: its servers, its search
	 *  domains, its hosts file. FZ_ERR_INVAL: no host name. FZ_ERR_FULL: 1,000 are under way. */
	int (*resolve)(void *p, uint64_t id, const char *name);
	/** Next result; its addresses are valid until the next call. False = none now. */
	bool (*resolved)(void *p, struct fz_resolved *ret);

	/** Start an HTTP request around the tunnel; connections are kept and shared. FZ_ERR_INVAL: the URL or
	 *  a header does not parse. FZ_ERR_FULL: 32 are under way. */
	int (*http_start)(void *p, const struct fz_http_request *request);
	/** Next result; what it points to is valid until the next call. False = none now. */
	bool (*http_result)(void *p, struct fz_http_result *ret);
	/** Forget a request: it gives no result any more. An unknown id is fine. */
	void (*http_cancel)(void *p, uint64_t id);

	/** The network changed: what is under way around the tunnel fails with FZ_ERR_IO, and what comes
	 *  later uses new connections. */
	void (*ask_reset)(void *p);
	/** Forget all queries, lookups, requests and results; close all listeners. */
	void (*ask_close)(void *p);

	/** Copy the counters. */
	void (*stats)(void *p, struct fz_platform_stats *ret);
	/** Close everything and free @p p; net_clear() is the caller's decision. */
	void (*free)(void *p);
};

/** A platform: table and its state. Passed by value. */
struct fz_platform {
	const struct fz_platform_ops *ops; /**< the functions */
	void *ctx; /**< their first argument */
};

/** Who tells a Linux system to ask the sentinels of struct fz_netcfg. */
enum fz_dns_control {
	FZ_DNS_CONTROL_DISABLED = 0, /**< nobody: the system's name servers stay */
	FZ_DNS_CONTROL_RESOLV_CONF = 1, /**< /etc/resolv.conf is replaced, and put back by net_clear(), or
					 * after a crash when a device is opened with this method again */
	FZ_DNS_CONTROL_RESOLVED = 2 /**< systemd-resolved is told, for the tunnel interface alone; what it
				     *   was told vanishes with the interface */
};

/** Options of the Linux platform. */
struct fz_platform_linux_opts {
	size_t size; /**< sizeof(struct fz_platform_linux_opts) */
	bool no_offload; /**< neither UDP GSO/GRO nor TUN offloads: batches of one, for tests and old kernels
			  */
	bool no_policy; /**< no marks, no policy rules: routes go to the main table (gateway without client
			 *   routes) */
	bool no_watch; /**< do not watch the host's network: net_event() tells only of a lost tunnel device */
	bool no_create_node; /**< do not make a missing /dev/net/tun (containers lack it at times) */
	uint32_t sndbuf; /**< bytes, 0 = 2 MiB */
	uint32_t rcvbuf; /**< bytes, 0 = 16 MiB */
	uint32_t dns_control; /**< enum fz_dns_control */
};

/** Create the Linux platform: epoll, TUN with offloads, UDP with segmentation offload, netlink, libcurl
 * streams.
 *  @param env  borrowed until fz_platform_free(); NULL = fz_env_default()
 *  @retval FZ_ERR_UNSUPPORTED  this build has no Linux backend */
FZ_API FZ_MUST_CHECK int fz_platform_linux_new(const struct fz_env *env,
					       const struct fz_platform_linux_opts *opts,
					       struct fz_platform *ret);
/** Close everything that is still open, free the platform and zero @p p; net_clear() is the caller's
 * decision. A zeroed struct is fine. */
FZ_API void fz_platform_free(struct fz_platform *p);

/** An in-memory network with a clock that only the program turns: hosts exchange datagrams, TUN packets are
 * fed and taken by hand, streams connect to a listening function of the program. For tests and simulation. */
struct fz_memnet;

/** Create an empty network at time 0. */
FZ_API FZ_MUST_CHECK int fz_memnet_new(const struct fz_env *env, struct fz_memnet **ret);
/** Free the network and all its hosts. NULL is fine. */
FZ_API void fz_memnet_free(struct fz_memnet *net);
/** Turn the clock forward; datagrams whose delay has passed become readable. */
FZ_API void fz_memnet_advance(struct fz_memnet *net, uint64_t by_us);
/** Time of the network, µs. */
FZ_API uint64_t fz_memnet_now(const struct fz_memnet *net);
/** When the next datagram under way arrives, ::FZ_NEVER_US = none is. */
FZ_API uint64_t fz_memnet_next_us(const struct fz_memnet *net);
/** Add a host with the given addresses (either may have family none); its platform is good until
 *  fz_memnet_free() or fz_platform_free(). */
FZ_API FZ_MUST_CHECK int fz_memnet_host(struct fz_memnet *net, const struct fz_ip *ipv4,
					const struct fz_ip *ipv6, struct fz_platform *ret);
/** Put an IP packet on a host's TUN, as if its kernel had routed it there. Copied. FZ_ERR_FULL above 1024
 * waiting. */
FZ_API FZ_MUST_CHECK int fz_memnet_tun_put(struct fz_platform *host, const struct fz_pkt *pkt);
/** Take the next packet that was written to the host's TUN; valid until the next call. False = none. Above
 * 4096 waiting, writes meet FZ_ERR_AGAIN. */
FZ_API bool fz_memnet_tun_take(struct fz_platform *host, struct fz_pkt *ret);
/** Do the hosts have offloads? True at first: super-packets on the TUN, and datagrams that arrive together
 * are joined to batches. False: batches of one everywhere. */
FZ_API void fz_memnet_set_offload(struct fz_memnet *net, bool on);
/** Put a change of the host's network in front of the program: what net_event() will return. */
FZ_API void fz_memnet_net_event(struct fz_platform *host, enum fz_net_event event);
/** Give the host other addresses, as after a change of networks; its sockets stay open. */
FZ_API void fz_memnet_set_addrs(struct fz_platform *host, const struct fz_ip *ipv4, const struct fz_ip *ipv6);
/** Give the host other name servers (copied, at most ::FZ_DNS_SERVERS_MAX); ::FZ_NET_DNS_CHANGED follows. */
FZ_API void fz_memnet_set_dns(struct fz_platform *host, const struct fz_ip *servers, size_t len);
/** How many times dns_flush was called on the host. */
FZ_API unsigned fz_memnet_dns_flushes(const struct fz_platform *host);
/** The last fz_netcfg applied on the host; NULL before the first and after net_clear(). */
FZ_API const struct fz_netcfg *fz_memnet_netcfg(const struct fz_platform *host);
/** How many bytes the files of a host may have in all; no limit at first. A full disk is one of 0 bytes. */
FZ_API void fz_memnet_set_disk(struct fz_platform *host, size_t bytes);
/** What happens to each datagram on its way. Return the delay in µs, or ::FZ_NEVER_US to lose it; may rewrite
 * the addresses (a NAT). NULL = delivered at once if some host owns the address. */
typedef uint64_t (*fz_memnet_hook)(void *ctx, struct fz_addr *from, struct fz_addr *to, const uint8_t *data,
				   size_t len);
/** Hand every datagram to @p hook from now on. */
FZ_API void fz_memnet_set_hook(struct fz_memnet *net, fz_memnet_hook hook, void *ctx);
/** The far end of streams: called for each stream that a host opens. Return false to refuse. The program then
 * moves bytes with fz_memnet_stream_put() and fz_memnet_stream_take(). */
typedef bool (*fz_memnet_accept)(void *ctx, struct fz_stream *s, const struct fz_stream_opts *opts);
/** Hand every new stream to @p accept from now on; NULL = all are refused. */
FZ_API void fz_memnet_set_accept(struct fz_memnet *net, fz_memnet_accept accept, void *ctx);
/** Bytes from the far end to the host; FZ_ERR_FULL above 1 MiB unread, FZ_ERR_STATE once the host has closed.
 */
FZ_API FZ_MUST_CHECK int fz_memnet_stream_put(struct fz_stream *s, const void *data, size_t len);
/** Bytes that the host sent; 0 = none, FZ_ERR_DEAD once they are all read and the host has closed the stream,
 * which frees @p s. */
FZ_API int fz_memnet_stream_take(struct fz_stream *s, void *buf, size_t cap);
/** The far end closes: after what is unread the host sees the end. @p s stays good until the host has closed
 * it too and fz_memnet_stream_take() has said so. */
FZ_API void fz_memnet_stream_hangup(struct fz_stream *s);

/** Take the next DNS query of the host; its pointers are valid until it is answered or its time is over.
 * False = none. */
FZ_API bool fz_memnet_query_take(struct fz_platform *host, struct fz_dns_query *ret);
/** Answer a query that was taken: with the bytes of @p answer, or a failure. FZ_ERR_NOT_FOUND: its time is
 * over. */
FZ_API FZ_MUST_CHECK int fz_memnet_answer_put(struct fz_platform *host, const struct fz_dns_answer *answer);
/** Send a DNS request to a listener of the host: @p request without its id, which is returned.
 *  FZ_ERR_NOT_FOUND: nobody listens there. */
FZ_API FZ_MUST_CHECK int fz_memnet_request_put(struct fz_platform *host, const struct fz_dns_request *request,
					       uint64_t *ret_id);
/** Take the next reply of the host, valid until the next call; @p ret_len 0 = it said that there is none.
 * False = none yet. */
FZ_API bool fz_memnet_reply_take(struct fz_platform *host, uint64_t *ret_id, const uint8_t **ret_data,
				 size_t *ret_len);
/** Take the next name that the host looks up, valid until fz_memnet_resolved_put(). False = none. */
FZ_API bool fz_memnet_resolve_take(struct fz_platform *host, uint64_t *ret_id, const char **ret_name);
/** Say what was found. FZ_ERR_NOT_FOUND: nobody waits for it. */
FZ_API FZ_MUST_CHECK int fz_memnet_resolved_put(struct fz_platform *host, const struct fz_resolved *resolved);
/** Take the next HTTP request of the host; its pointers are valid until it is answered. False = none. */
FZ_API bool fz_memnet_http_take(struct fz_platform *host, struct fz_http_request *ret);
/** Answer it; NULL texts are "". FZ_ERR_NOT_FOUND: its time is over, or it was cancelled. */
FZ_API FZ_MUST_CHECK int fz_memnet_http_put(struct fz_platform *host, const struct fz_http_result *result);

#ifdef __cplusplus
}
#endif
#endif
