/* SPDX-License-Identifier: Apache-2.0 */
/** @file gateway.h
 *  A whole gateway: takes grants from the portal, lets clients reach what they were granted, and nothing
 * else.
 *
 *  Two ways to use it. Driven: fz_run_client_new() (run.h) binds it to a platform, opens TUN and sockets, and
 * does everything below. Pure: the program feeds it and polls it:
 *
 *      each turn:  fz_gateway_set_wall(), then the handle functions for whatever arrived,
 * fz_gateway_handle_timeout(), then until all are empty: fz_gateway_poll_tun(), fz_gateway_poll_udp(),
 * fz_gateway_poll_stream(), fz_gateway_poll_event(); sleep until fz_gateway_next_timeout().
 *
 *  A gateway belongs to one thread at a time; different gateways are independent. No function blocks. */
#ifndef FZCONN_GATEWAY_H
#define FZCONN_GATEWAY_H

#include "env.h"
#include "event.h"
#include "packet.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The object. */
struct fz_gateway;

/** Zero it, set size, then set what you need; texts are copied. */
struct fz_gateway_opts {
	size_t size; /**< sizeof(struct fz_gateway_opts) */
	const char *api_url; /**< portal, ws, wss, http or https; NULL = "wss://api.firezone.dev/" */
	const char *token; /**< secret of the gateway; required */
	const char *id; /**< stable identity of this gateway; required; a UUID is hashed before it is sent */
	const char *name; /**< shown to administrators; required */
	const char *
		user_agent; /**< NULL = one that names this library and a gateway version that peers accept */
	uint64_t max_partition_us; /**< how much waiting for the portal is accepted once it was reached; 0 =
				      for ever */
	bool flow_logs; /**< log every flow: lines of area "flow_logs" at level trace, each a JSON object */
};

/** Create a gateway; it asks for its first portal connection with the first fz_gateway_poll_event().
 * @param env   borrowed until fz_gateway_free(); NULL = fz_env_default()
 * @param opts  copied
 * @param now_us  monotonic time, µs, any epoch
 * @param[out] ret  owned by the caller
 * @retval FZ_ERR_INVAL  an option is missing or does not parse; a line at level error says which
 * @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 * @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_gateway_new(const struct fz_env *env, const struct fz_gateway_opts *opts,
					uint64_t now_us, struct fz_gateway **ret);
/** Free it without a word to anybody: fz_gateway_shutdown() first if peers should know. NULL is fine. */
FZ_API void fz_gateway_free(struct fz_gateway *g);

/** Wall clock of this moment, once per turn before anything else: handshakes carry it. */
FZ_API void fz_gateway_set_wall(struct fz_gateway *g, uint64_t now_us, uint64_t unix_ns);
/** A packet or super-packet from the TUN. Its bytes and its headroom may be changed during the call. */
FZ_API void fz_gateway_handle_tun(struct fz_gateway *g, struct fz_pkt *pkt, uint64_t now_us);
/** A batch from the network. Take all packets with fz_gateway_poll_tun() before the next batch: they are
 * decrypted in place of a fixed size. */
FZ_API void fz_gateway_handle_udp(struct fz_gateway *g, const struct fz_udp_batch *batch, uint64_t now_us);
/** Next packet for the TUN; bytes and FZ_PKT_HEADROOM in front are the caller's until the next call. */
FZ_API bool fz_gateway_poll_tun(struct fz_gateway *g, struct fz_pkt *ret);
/** Next batch for the network; the same again until fz_gateway_pop_udp(). */
FZ_API bool fz_gateway_poll_udp(struct fz_gateway *g, struct fz_udp_batch *ret);
/** The batch of fz_gateway_poll_udp() was sent, or can not be. */
FZ_API void fz_gateway_pop_udp(struct fz_gateway *g);
/** Is there room for packets from the TUN? If not, send first. */
FZ_API bool fz_gateway_wants_tun(const struct fz_gateway *g);

/** The stream asked for by FZ_EVENT_STREAM_OPEN is open, TLS included. */
FZ_API void fz_gateway_stream_opened(struct fz_gateway *g, uint64_t now_us);
/** Bytes from the stream. */
FZ_API void fz_gateway_stream_data(struct fz_gateway *g, const void *data, size_t len, uint64_t now_us);
/** The stream failed or ended; @p reason is one line for the log, NULL = "connection closed". */
FZ_API void fz_gateway_stream_closed(struct fz_gateway *g, const char *reason, uint64_t now_us);
/** Bytes for the stream: their number, 0 = none. Call only while the stream takes bytes. */
FZ_API int fz_gateway_poll_stream(struct fz_gateway *g, void *buf, size_t cap);

/** What became of FZ_EVENT_DNS_QUERY. */
FZ_API void fz_gateway_dns_answer(struct fz_gateway *g, const struct fz_dns_answer *answer, uint64_t now_us);
/** A DNS request came to a listener of FZ_EVENT_DNS_LISTEN; FZ_EVENT_DNS_REPLY answers it. */
FZ_API void fz_gateway_dns_request(struct fz_gateway *g, const struct fz_dns_request *request,
				   uint64_t now_us);
/** FZ_EVENT_DNS_LISTEN could not be done. It is asked for again some seconds later. */
FZ_API void fz_gateway_dns_listen_failed(struct fz_gateway *g, const struct fz_addr *addr, int err,
					 uint64_t now_us);
/** What became of FZ_EVENT_RESOLVE. */
FZ_API void fz_gateway_resolved(struct fz_gateway *g, const struct fz_resolved *resolved, uint64_t now_us);
/** What became of FZ_EVENT_HTTP. */
FZ_API void fz_gateway_http_result(struct fz_gateway *g, const struct fz_http_result *result,
				   uint64_t now_us);
/** The system's name servers outside of the tunnel: at the start, and whenever they change. */
FZ_API void fz_gateway_system_dns(struct fz_gateway *g, const struct fz_ip *servers, size_t len,
				  uint64_t now_us);

/** Run what is due; early calls do nothing. */
FZ_API void fz_gateway_handle_timeout(struct fz_gateway *g, uint64_t now_us);
/** When fz_gateway_handle_timeout() has something to do, absolute µs; FZ_NEVER_US = never. */
FZ_API uint64_t fz_gateway_next_timeout(const struct fz_gateway *g);
/** Next event; false = none. */
FZ_API bool fz_gateway_poll_event(struct fz_gateway *g, struct fz_event *ret);

/** Connect to the portal again (other network, SIGHUP); grants and connections stay. */
FZ_API void fz_gateway_reconnect(struct fz_gateway *g, uint64_t now_us);
/** Use another token from the next portal connection on; copied. A connection that is up stays.
 * @retval FZ_ERR_INVAL  that is no token; the old one stays  @retval FZ_ERR_NOMEM  likewise */
FZ_API FZ_MUST_CHECK int fz_gateway_set_token(struct fz_gateway *g, const char *token);
/** Say goodbye to all peers and close the portal connection; drain the outputs afterwards. */
FZ_API void fz_gateway_shutdown(struct fz_gateway *g, uint64_t now_us);

/** Counter number @p i of the traffic and of every reason for which something was dropped; false = no such
 * number.
 *  @p ret_name is static. */
FZ_API bool fz_gateway_counter(struct fz_gateway *g, size_t i, const char **ret_name, uint64_t *ret_value);

#ifdef __cplusplus
}
#endif
#endif
