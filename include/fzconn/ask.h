/* SPDX-License-Identifier: Apache-2.0 */
/** @file ask.h
 *  What a client or gateway asks of its host beyond packets: DNS queries, names, HTTP requests, and a place
 *  where others ask it for DNS. A platform serves all of it (platform.h); a program without one may do so
 *  itself: questions are events (event.h), results are handed back with the functions of client.h or
 *  gateway.h.
 *
 *  Every question carries an id of the asker's choice, which comes back in exactly one result. */
#ifndef FZCONN_ASK_H
#define FZCONN_ASK_H

#include "addr.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FZ_DNS_MESSAGE_MAX 65535 /**< longest DNS message */
/** Longest DNS message that others may send us by TCP: no query comes near it. */
#define FZ_DNS_REQUEST_MAX 8192

/** How a DNS query travels. */
enum fz_dns_transport {
	FZ_DNS_UDP = 0, /**< one datagram; an answer that does not fit has its TC bit set */
	FZ_DNS_TCP = 1, /**< with length prefix */
	FZ_DNS_HTTPS = 2 /**< RFC 8484 */
};

/** A query to one server. Pointers are borrowed for the call. */
struct fz_dns_query {
	size_t size; /**< sizeof(struct fz_dns_query) */
	uint64_t id; /**< comes back in the answer; not the id inside of the message */
	struct fz_addr server; /**< for UDP and TCP */
	struct fz_ip bind; /**< our tunnel address: the query goes through the tunnel, as packets of any
			    *   program do; family none = it bypasses the tunnel. UDP and TCP only. */
	uint8_t transport; /**< enum fz_dns_transport */
	uint8_t reserved; /**< zero */
	uint32_t timeout_ms; /**< 0 = 5000; 10000 through the tunnel */
	const char *url; /**< for HTTPS: "https://host/path" */
	const uint8_t *data; /**< the message, 12 bytes at least. Its id may be anything: another one is used
			      *   on the way, which the sender of a forged answer would have to guess. */
	size_t len; /**< of @ref data; at most ::FZ_DNS_MESSAGE_MAX */
};

/** What became of a query. */
struct fz_dns_answer {
	uint64_t id; /**< of the query */
	const uint8_t *data; /**< the answer, with the id of the query's message; otherwise as it came */
	size_t len; /**< of @ref data; 0 on failure */
	int err; /**< 0; ::FZ_ERR_TIMEOUT: nothing came; ::FZ_ERR_IO: refused, unreachable, closed, or an HTTP
		  *   status; ::FZ_ERR_WIRE: what came is no answer to this; or why it could not be sent:
		  *   ::FZ_ERR_FULL, ::FZ_ERR_INVAL, ::FZ_ERR_PERM, ::FZ_ERR_NOMEM, ::FZ_ERR_UNSUPPORTED */
	uint32_t reserved; /**< zero */
};

/** A DNS message that somebody sent to one of our listeners. It was not looked into; it has 12 bytes at
 * least. */
struct fz_dns_request {
	uint64_t id; /**< for the reply; never used twice */
	const uint8_t *data; /**< the message */
	size_t len; /**< of @ref data */
	struct fz_addr local; /**< the address that was asked */
	struct fz_addr peer; /**< who asks */
	bool tcp; /**< a reply may have up to 65,535 bytes */
	uint8_t reserved[7]; /**< zero */
};

/** Addresses of a name. */
struct fz_resolved {
	uint64_t id; /**< of the question */
	const struct fz_ip *addrs; /**< of both families, at least one on success */
	size_t len; /**< their number */
	int err; /**< 0; ::FZ_ERR_NOT_FOUND: no such name, or it has no address; ::FZ_ERR_TIMEOUT: no server
		  *   answers; ::FZ_ERR_IO: they refuse, or there is none; or why nobody was asked */
	uint32_t reserved; /**< zero */
};

/** A header of an HTTP request. */
struct fz_http_header {
	const char *name; /**< such as "authorization" */
	const char *value; /**< printable ASCII */
};

/** An HTTP request, which bypasses the tunnel. Redirects are not followed. Pointers are borrowed for the
 * call. */
struct fz_http_request {
	size_t size; /**< sizeof(struct fz_http_request) */
	uint64_t id; /**< comes back in the result */
	const char *method; /**< "GET", "POST", ... */
	const char *url; /**< https, or http */
	const struct fz_http_header *headers; /**< all that is sent beyond host and content-length */
	size_t headers_len; /**< their number, at most 16 */
	const void *body; /**< sent when there is one */
	size_t body_len; /**< of @ref body */
	size_t answer_max; /**< a longer body of the answer is a failure; 0 = 65,536 */
	uint32_t timeout_ms; /**< for all of it; 0 = 30,000 */
	uint32_t reserved; /**< zero */
};

/** What became of an HTTP request. */
struct fz_http_result {
	uint64_t id; /**< of the request */
	int err; /**< 0 = there is an answer, whatever its status; ::FZ_ERR_TIMEOUT, ::FZ_ERR_IO,
		  *   ::FZ_ERR_NOSPACE: longer than allowed; or why it could not be sent */
	uint16_t status; /**< of the answer */
	uint16_t reserved; /**< zero */
	uint32_t retry_after_s; /**< Retry-After in seconds, of a date as well; 0 = none, or now */
	uint32_t reserved2; /**< zero */
	uint64_t date_s; /**< clock of the server in its Date header, unix seconds; 0 = not told */
	const char *content_type; /**< "" = none */
	const char *location; /**< where a redirect leads, made absolute; "" = none */
	const char *error; /**< one line about a failure, without secrets; "" on success */
	const uint8_t *body; /**< of the answer */
	size_t body_len; /**< of @ref body */
};

#ifdef __cplusplus
}
#endif
#endif
