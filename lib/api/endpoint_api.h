/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that client and gateway share, once: each public one hands its object's endpoint to the core.
 */
#ifndef API_ENDPOINT_API_H
#define API_ENDPOINT_API_H

#include "api/endpoint_opts.h"

#define ENDPOINT_API(prefix, object, endpoint_of)                                                            \
	void prefix##_set_wall(object *o, uint64_t now_us, uint64_t unix_ns)                                 \
	{                                                                                                    \
		endpoint_set_wall(endpoint_of(o), now_us, unix_ns);                                          \
	}                                                                                                    \
	void prefix##_handle_tun(object *o, struct fz_pkt *pkt, uint64_t now_us)                             \
	{                                                                                                    \
		endpoint_handle_tun(endpoint_of(o), pkt, now_us);                                            \
	}                                                                                                    \
	void prefix##_handle_udp(object *o, const struct fz_udp_batch *batch, uint64_t now_us)               \
	{                                                                                                    \
		endpoint_handle_udp(endpoint_of(o), batch, now_us);                                          \
	}                                                                                                    \
	bool prefix##_poll_tun(object *o, struct fz_pkt *ret)                                                \
	{                                                                                                    \
		return endpoint_poll_tun(endpoint_of(o), ret);                                               \
	}                                                                                                    \
	bool prefix##_poll_udp(object *o, struct fz_udp_batch *ret)                                          \
	{                                                                                                    \
		return endpoint_poll_udp(endpoint_of(o), ret);                                               \
	}                                                                                                    \
	void prefix##_pop_udp(object *o)                                                                     \
	{                                                                                                    \
		endpoint_pop_udp(endpoint_of(o));                                                            \
	}                                                                                                    \
	bool prefix##_wants_tun(const object *o)                                                             \
	{                                                                                                    \
		return endpoint_wants_tun(endpoint_of(o));                                                   \
	}                                                                                                    \
	void prefix##_stream_opened(object *o, uint64_t now_us)                                              \
	{                                                                                                    \
		endpoint_stream_opened(endpoint_of(o), now_us);                                              \
	}                                                                                                    \
	void prefix##_stream_data(object *o, const void *data, size_t len, uint64_t now_us)                  \
	{                                                                                                    \
		endpoint_stream_data(endpoint_of(o), data, len, now_us);                                     \
	}                                                                                                    \
	void prefix##_stream_closed(object *o, const char *reason, uint64_t now_us)                          \
	{                                                                                                    \
		endpoint_stream_closed(endpoint_of(o), reason, now_us);                                      \
	}                                                                                                    \
	int prefix##_poll_stream(object *o, void *buf, size_t cap)                                           \
	{                                                                                                    \
		return endpoint_poll_stream(endpoint_of(o), buf, cap);                                       \
	}                                                                                                    \
	void prefix##_dns_answer(object *o, const struct fz_dns_answer *a, uint64_t now_us)                  \
	{                                                                                                    \
		endpoint_dns_answer(endpoint_of(o), a, now_us);                                              \
	}                                                                                                    \
	void prefix##_dns_request(object *o, const struct fz_dns_request *r, uint64_t now_us)                \
	{                                                                                                    \
		endpoint_dns_request(endpoint_of(o), r, now_us);                                             \
	}                                                                                                    \
	void prefix##_dns_listen_failed(object *o, const struct fz_addr *a, int err, uint64_t now_us)        \
	{                                                                                                    \
		endpoint_dns_listen_failed(endpoint_of(o), a, err, now_us);                                  \
	}                                                                                                    \
	void prefix##_resolved(object *o, const struct fz_resolved *r, uint64_t now_us)                      \
	{                                                                                                    \
		endpoint_resolved(endpoint_of(o), r, now_us);                                                \
	}                                                                                                    \
	void prefix##_http_result(object *o, const struct fz_http_result *r, uint64_t now_us)                \
	{                                                                                                    \
		endpoint_http_result(endpoint_of(o), r, now_us);                                             \
	}                                                                                                    \
	void prefix##_system_dns(object *o, const struct fz_ip *v, size_t n, uint64_t now_us)                \
	{                                                                                                    \
		endpoint_system_dns(endpoint_of(o), v, n, now_us);                                           \
	}                                                                                                    \
	void prefix##_handle_timeout(object *o, uint64_t now_us)                                             \
	{                                                                                                    \
		endpoint_handle_timeout(endpoint_of(o), now_us);                                             \
	}                                                                                                    \
	uint64_t prefix##_next_timeout(const object *o)                                                      \
	{                                                                                                    \
		return endpoint_next_timeout(endpoint_of(o));                                                \
	}                                                                                                    \
	bool prefix##_poll_event(object *o, struct fz_event *ret)                                            \
	{                                                                                                    \
		return endpoint_poll_event(endpoint_of(o), ret);                                             \
	}                                                                                                    \
	void prefix##_shutdown(object *o, uint64_t now_us)                                                   \
	{                                                                                                    \
		endpoint_shutdown(endpoint_of(o), now_us);                                                   \
	}                                                                                                    \
	int prefix##_set_token(object *o, const char *token)                                                 \
	{                                                                                                    \
		return portal_set_token(endpoint_portal(endpoint_of(o)), token);                             \
	}                                                                                                    \
	bool prefix##_counter(object *o, size_t i, const char **ret_name, uint64_t *ret_value)               \
	{                                                                                                    \
		return endpoint_counter(endpoint_of(o), i, ret_name, ret_value);                             \
	}

#endif
