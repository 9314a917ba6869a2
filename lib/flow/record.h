/* SPDX-License-Identifier: Apache-2.0 */
/* One flow as it is reported: a TCP connection or a UDP conversation between two inner addresses, written
 * from the initiator's view wherever it was seen. Times are unix nanoseconds. */
#ifndef FLOW_RECORD_H
#define FLOW_RECORD_H

#include "ext/json.h"
#include "fzconn/addr.h"

/* Ways that a flow took, most; see tracker.h for what happens above. */
#define FLOW_OUTERS_MAX 16

/* "2023-11-14T22:13:20.000000500Z" with its NUL. */
#define FLOW_TIME_LEN 31

struct flow_outer {
	struct fz_addr src; /* of the initiator; family none = not known (it sends through its relay) */
	struct fz_addr dst; /* of the responder, or of the relay */
	uint64_t at_ns; /* of the first packet that took it */
};

struct flow_record {
	bool is_udp, is_closed;
	struct fz_addr src, dst; /* inner: initiator, responder */
	const char *domain; /* NULL = no DNS resource */
	const struct flow_outer *outers;
	size_t outers_len; /* at least 1 */
	uint64_t start_ns;
	/* Of closed flows only. tx is from the initiator to the responder; bytes are payload of TCP or UDP.
	 */
	uint64_t end_ns, last_ns;
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
};

/* Shortest exact form with 0, 3, 6 or 9 digits behind the second. */
const char *flow_time_format(uint64_t unix_ns, char buf[FLOW_TIME_LEN]);
/* The record as an object whose keys are sorted at every level; NULL without memory. */
struct jv *flow_record_json(const struct flow_record *r);

#endif
