/* SPDX-License-Identifier: Apache-2.0 */
/* Ingest tokens for tests: well-formed, signed by nobody. */
#ifndef FLOW_TOKEN_H
#define FLOW_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define FLOW_TOKEN_ID "11111111-2222-4333-8444-555555555555"

struct flow_token {
	const char *id; /* policy authorization; NULL = FLOW_TOKEN_ID */
	bool is_initiator, no_uploads;
	uint64_t expires_s; /* 0 = 1790935200 */
};
/* Valid until the next call but one. */
const char *flow_token(const struct flow_token *t);

#endif
