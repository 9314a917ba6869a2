/* SPDX-License-Identifier: Apache-2.0 */
/** @file client.h
 *  A whole client: signs in at the portal, routes packets to resources, finds ways to their gateways.
 *
 *  Two ways to use it. Driven: fz_run_client_new() (run.h) binds it to a platform, opens TUN and sockets, and
 * does everything below. Pure: the program feeds it and polls it:
 *
 *      each turn:  fz_client_set_wall(), then the handle functions for whatever arrived,
 * fz_client_handle_timeout(), then until all are empty: fz_client_poll_tun(), fz_client_poll_udp(),
 * fz_client_poll_stream(), fz_client_poll_event(); sleep until fz_client_next_timeout().
 *
 *  A client belongs to one thread at a time; different clients are independent. No function blocks. */
#ifndef FZCONN_CLIENT_H
#define FZCONN_CLIENT_H

#include "env.h"
#include "event.h"
#include "packet.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The object. */
struct fz_client;

/** Zero it, set size, then set what you need; texts are copied. */
struct fz_client_opts {
	size_t size; /**< sizeof(struct fz_client_opts) */
	const char *api_url; /**< portal, ws, wss, http or https; NULL = "wss://api.firezone.dev/" */
	const char *token; /**< secret of the client; required */
	const char *id; /**< stable identity of this device; required; a UUID is hashed before it is sent */
	const char *name; /**< shown to administrators; required */
	const char
		*user_agent; /**< NULL = one that names this library and a client version that peers accept */
	const char *device_serial; /**< NULL = unknown */
	const char *device_uuid; /**< NULL = unknown */
	uint64_t max_partition_us; /**< how much waiting for the portal is accepted once it was reached; 0 =
				      for ever */
	bool flow_logs; /**< log every flow: lines of area "flow_logs" at level trace, each a JSON object */
	bool internet; /**< use the Internet resource, as fz_client_set_internet() */
	uint8_t reserved[6]; /**< zero */
};

/** What a resource is reached by. */
enum fz_resource_type {
	FZ_RESOURCE_DNS = 1, /**< names that match a pattern */
	FZ_RESOURCE_CIDR = 2, /**< a network */
	FZ_RESOURCE_INTERNET = 3 /**< every address that belongs to nothing else */
};

/** What is known of the gateways of a resource. */
enum fz_resource_status {
	FZ_RESOURCE_UNKNOWN = 0, /**< nobody asked lately */
	FZ_RESOURCE_ONLINE = 1, /**< one of them is connected */
	FZ_RESOURCE_OFFLINE = 2 /**< the portal knows none; forgotten after five minutes */
};

/** A resource, for people. Texts are valid until the next call on the client; never NULL but where it says
 * so. */
struct fz_resource {
	char id[FZ_ID_STRLEN]; /**< its UUID */
	char site[FZ_ID_STRLEN]; /**< UUID of its site, the first one if there are several; "" = none */
	enum fz_resource_type type; /**< what it is reached by */
	enum fz_resource_status status; /**< whether it can be reached now */
	const char *name; /**< given by the administrator */
	const char *address; /**< pattern or network; "" for the Internet resource */
	const char *description; /**< where to find it, for people: often a URL */
	const char *site_name; /**< of its first site */
	const char *reason; /**< why the portal refused access when it was asked last ("offline", "forbidden",
			     * "disabled", "version_mismatch", ...), NULL = it did not */
	bool has_access; /**< a gateway serves it now; it is asked for by the first packet */
	bool is_active; /**< false: the Internet resource, while it is switched off */
};

/** Create a client; it asks for its first portal connection with the first fz_client_poll_event().
 * @param env   borrowed until fz_client_free(); NULL = fz_env_default()
 * @param opts  copied
 * @param now_us  monotonic time, µs, any epoch
 * @param[out] ret  owned by the caller
 * @retval FZ_ERR_INVAL  an option is missing or does not parse; a line at level error says which
 * @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 * @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_client_new(const struct fz_env *env, const struct fz_client_opts *opts,
				       uint64_t now_us, struct fz_client **ret);
/** Free it without a word to anybody: fz_client_shutdown() first if peers should know. NULL is fine. */
FZ_API void fz_client_free(struct fz_client *c);

/** Wall clock of this moment, once per turn before anything else: handshakes carry it. */
FZ_API void fz_client_set_wall(struct fz_client *c, uint64_t now_us, uint64_t unix_ns);
/** A packet or super-packet from the TUN. Its bytes and its headroom may be changed during the call. */
FZ_API void fz_client_handle_tun(struct fz_client *c, struct fz_pkt *pkt, uint64_t now_us);
/** A batch from the network. Take all packets with fz_client_poll_tun() before the next batch: they are
 * decrypted in place of a fixed size. */
FZ_API void fz_client_handle_udp(struct fz_client *c, const struct fz_udp_batch *batch, uint64_t now_us);
/** Next packet for the TUN; bytes and FZ_PKT_HEADROOM in front are the caller's until the next call. */
FZ_API bool fz_client_poll_tun(struct fz_client *c, struct fz_pkt *ret);
/** Next batch for the network; the same again until fz_client_pop_udp(). */
FZ_API bool fz_client_poll_udp(struct fz_client *c, struct fz_udp_batch *ret);
/** The batch of fz_client_poll_udp() was sent, or can not be. */
FZ_API void fz_client_pop_udp(struct fz_client *c);
/** Is there room for packets from the TUN? If not, send first. */
FZ_API bool fz_client_wants_tun(const struct fz_client *c);

/** The stream asked for by FZ_EVENT_STREAM_OPEN is open, TLS included. */
FZ_API void fz_client_stream_opened(struct fz_client *c, uint64_t now_us);
/** Bytes from the stream. */
FZ_API void fz_client_stream_data(struct fz_client *c, const void *data, size_t len, uint64_t now_us);
/** The stream failed or ended; @p reason is one line for the log, NULL = "connection closed". */
FZ_API void fz_client_stream_closed(struct fz_client *c, const char *reason, uint64_t now_us);
/** Bytes for the stream: their number, 0 = none. Call only while the stream takes bytes. */
FZ_API int fz_client_poll_stream(struct fz_client *c, void *buf, size_t cap);

/** What became of FZ_EVENT_DNS_QUERY. */
FZ_API void fz_client_dns_answer(struct fz_client *c, const struct fz_dns_answer *answer, uint64_t now_us);
/** A DNS request came to a listener of FZ_EVENT_DNS_LISTEN; FZ_EVENT_DNS_REPLY answers it. */
FZ_API void fz_client_dns_request(struct fz_client *c, const struct fz_dns_request *request, uint64_t now_us);
/** FZ_EVENT_DNS_LISTEN could not be done. It is asked for again some seconds later. */
FZ_API void fz_client_dns_listen_failed(struct fz_client *c, const struct fz_addr *addr, int err,
					uint64_t now_us);
/** What became of FZ_EVENT_RESOLVE. */
FZ_API void fz_client_resolved(struct fz_client *c, const struct fz_resolved *resolved, uint64_t now_us);
/** What became of FZ_EVENT_HTTP. */
FZ_API void fz_client_http_result(struct fz_client *c, const struct fz_http_result *result, uint64_t now_us);
/** The system's name servers outside of the tunnel: at the start, and whenever they change. */
FZ_API void fz_client_system_dns(struct fz_client *c, const struct fz_ip *servers, size_t len,
				 uint64_t now_us);

/** Run what is due; early calls do nothing. */
FZ_API void fz_client_handle_timeout(struct fz_client *c, uint64_t now_us);
/** When fz_client_handle_timeout() has something to do, absolute µs; FZ_NEVER_US = never. */
FZ_API uint64_t fz_client_next_timeout(const struct fz_client *c);
/** Next event; false = none. */
FZ_API bool fz_client_poll_event(struct fz_client *c, struct fz_event *ret);

/** The network changed (other default route, other address, wake from sleep): drop all paths, make a new key,
 * connect to the portal again. Resources stay; the next packets ask for access. FZ_ERR_NOMEM: nothing
 * changed. */
FZ_API FZ_MUST_CHECK int fz_client_reset(struct fz_client *c, uint64_t now_us);
/** Use the Internet resource, or do not; at any time, also while there is none. It stays as it was set
 * whatever the portal does to the resource: traffic that was meant to be protected must not leave by itself.
 */
FZ_API void fz_client_set_internet(struct fz_client *c, bool on, uint64_t now_us);
/** Resource number @p i of those that there are, the Internet resource first, then by name; false = no such
 *  number. ::FZ_EVENT_RESOURCES tells when the list or a status has changed. */
FZ_API bool fz_client_resource(struct fz_client *c, size_t i, struct fz_resource *ret);
/** Connect to the portal again; resources, keys and connections stay. */
FZ_API void fz_client_reconnect(struct fz_client *c, uint64_t now_us);
/** Use another token from the next portal connection on; copied. A connection that is up stays.
 * @retval FZ_ERR_INVAL  that is no token; the old one stays  @retval FZ_ERR_NOMEM  likewise */
FZ_API FZ_MUST_CHECK int fz_client_set_token(struct fz_client *c, const char *token);
/** Say goodbye to all peers and close the portal connection; drain the outputs afterwards. */
FZ_API void fz_client_shutdown(struct fz_client *c, uint64_t now_us);

/** Counter number @p i of the traffic and of every reason for which something was dropped; false = no such
 * number.
 *  @p ret_name is static. */
FZ_API bool fz_client_counter(struct fz_client *c, size_t i, const char **ret_name, uint64_t *ret_value);

#ifdef __cplusplus
}
#endif
#endif
