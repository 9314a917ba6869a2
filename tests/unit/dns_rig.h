/* SPDX-License-Identifier: Apache-2.0 */
/* A stub resolver with its surroundings, for tests: queries by name, outputs by what is expected next. */
#ifndef DNS_RIG_H
#define DNS_RIG_H

#include "core/dns_stub.h"
#include "unit.h"

struct rig {
	struct unit_env u;
	struct proxy_ips *ips;
	struct dns_stub *stub;
	uint64_t now_us;
	struct dns_out out; /* the last one that a want_... function took */
	uint8_t query[DNS_MESSAGE_MAX];
	size_t query_len;
};

/* With the servers 192.0.2.1 to 192.0.2.<servers> of the system: sentinels 100.100.111.1 and so on. */
void rig_init(struct rig *r, size_t servers);
void rig_clear(struct rig *r);
struct fz_uuid rig_id(unsigned i);
struct fz_ip rig_ip(const char *text);
void rig_resource(struct rig *r, unsigned id, const char *pattern, enum portal_ip_stack stack);
void rig_pool(struct rig *r, unsigned id, const char *pattern);

/* A message with one question; flags QR and what follows the question are up to the caller. */
size_t rig_message(uint8_t *buf, uint16_t id, uint16_t flags, const char *name, unsigned type);
/* Adds an OPT record behind it. */
size_t rig_add_opt(uint8_t *buf, size_t len, uint16_t udp_size, bool dnssec_ok);
/* Adds an answer of this type whose owner is a pointer to the question. */
size_t rig_add_answer(uint8_t *buf, size_t len, unsigned type, uint32_t ttl, const void *data,
		      size_t data_len);
struct dns_origin rig_origin(const char *sentinel, uint16_t port, bool tcp);

/* Ask the first sentinel, from port 50000 (UDP) or as request 1 (TCP). */
void rig_ask(struct rig *r, const char *name, unsigned type);
void rig_ask_tcp(struct rig *r, const char *name, unsigned type);
/* The next output must be of this kind; it stays in r->out. */
void rig_want(struct rig *r, enum dns_out_type type);
void rig_want_nothing(struct rig *r);
/* An answer with this code and number of records; returns the message. */
struct dns_msg rig_want_answer(struct rig *r, int rcode, unsigned answers);
/* An exchange with this server by this path; returns its id. */
uint64_t rig_want_exchange(struct rig *r, enum dns_path path, const char *server);
/* A reply to the last exchange's query with n addresses of this TTL. */
void rig_reply(struct rig *r, uint64_t id, unsigned n, uint32_t ttl);
void rig_error(struct rig *r, uint64_t id, int err);
void rig_sleep(struct rig *r, uint64_t us);

#endif
