/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages (RFC 1035 section 4, EDNS of RFC 6891): a view that parses header, question and answer section
 * in place, and builders for the few kinds of answers that we give ourselves. Nothing is allocated. */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include "wire/dns_name.h"

#define DNS_HEADER_LEN 12
#define DNS_MESSAGE_MAX 65535
#define DNS_UDP_MIN 512 /* what everybody takes without EDNS */

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_HTTPS = 65
};
enum { DNS_CLASS_IN = 1 };
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5
};
/* Of the flags word. */
enum dns_flag {
	DNS_QR = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_AD = 0x0020,
	DNS_CD = 0x0010,
	DNS_RCODE = 0x000f
};

/* A message; data is borrowed. Counts are those of the header; answers were checked, what follows was not. */
struct dns_msg {
	const uint8_t *data;
	size_t len;
	uint16_t id, flags, answers, authorities, additionals;
	struct dns_name name; /* of the question; len 0 = there is none */
	uint16_t type, class;
	size_t answers_at, answers_end; /* offsets of the answer section */
};

/* A query: QR clear, exactly one question. Nothing else of its header is looked at. FZ_ERR_WIRE. */
int dns_parse_query(const void *data, size_t len, struct dns_msg *ret);
/* A reply: QR set; a question may be missing, as servers do that could not read ours. FZ_ERR_WIRE. */
int dns_parse_reply(const void *data, size_t len, struct dns_msg *ret);
/* Does the reply answer the query? The same question; without one, an error. The id is not compared. */
bool dns_answers(const struct dns_msg *reply, const struct dns_msg *query);

/* Offsets count from the message's start. */
struct dns_record {
	uint16_t type, class;
	uint32_t ttl;
	size_t ttl_at, data_at, data_len;
};
/* Walk over the answers: *at starts with msg->answers_at. false at the end. */
bool dns_next_answer(const struct dns_msg *msg, size_t *at, struct dns_record *ret);

/* The OPT record of a message. udp_size 0 = none, or one that does not parse. */
struct dns_edns {
	uint16_t udp_size; /* what the sender takes, at least 512 */
	bool dnssec_ok;
};
struct dns_edns dns_edns(const struct dns_msg *msg);

/* Our own answers. Id, opcode, RD and question are the query's; owners are spelled as there and written out
 * as long as the answer fits into cap, else compressed. What does not fit even so is left out, and TC set.
 * cap is at least DNS_UDP_MIN, so the header and the question always fit. All return the length. */
size_t dns_reply_empty(const struct dns_msg *query, enum dns_rcode rcode, uint8_t *buf, size_t cap);
/* A or AAAA records of class IN, by the family of each. */
size_t dns_reply_ips(const struct dns_msg *query, const struct fz_ip *ips, size_t n, uint32_t ttl,
		     uint8_t *buf, size_t cap);
size_t dns_reply_ptr(const struct dns_msg *query, const struct dns_name *target, uint32_t ttl, uint8_t *buf,
		     size_t cap);
/* A message of somebody else that is longer than limit becomes header and question with TC. Returns its
 * length. */
size_t dns_truncate(uint8_t *data, size_t len, size_t limit);

#endif
