/* SPDX-License-Identifier: Apache-2.0 */
/* A small TURN server for tests: answers one client, strict where RFC 8656 is, with knobs for the ways in
 * which real servers differ. Answers are written at once; the test decides what becomes of them. */
#ifndef FAKE_TURN_H
#define FAKE_TURN_H

#include "unit.h"

#include "wire/turn.h"

#define FAKE_LOG 512

struct fake_request {
	uint64_t at_us;
	uint16_t method, channel;
	struct fz_addr to;
	struct stun_txid txid;
	bool has_auth, has_nonce, has_both, has_v6, releases;
};

struct fake_turn {
	/* configuration */
	struct fz_addr addr4, addr6, relayed4, relayed6, mapped4, mapped6;
	const char *username, *password, *realm, *nonce;
	uint32_t lifetime_s;
	bool signs_challenges; /* 401 and 438 carry MESSAGE-INTEGRITY when the request names a user */
	bool mismatch_first; /* 437 comes before authentication, unsigned */
	bool silent;
	bool silent_bind; /* CHANNEL-BIND is not answered */
	bool bad_mac; /* signs with a wrong key */
	bool unsigned_success;
	bool plain_400_bind; /* no allocation: CHANNEL-BIND gets 400 */
	bool draft_only; /* dual allocation under the draft's number only */
	bool wrong_owner; /* REFRESH finds another user's allocation: 441 */
	bool free_over_v6; /* ... unless we come over IPv6, from another 5-tuple */
	int linger; /* ALLOCATEs that are still refused after a release */
	uint16_t fail_allocate, fail_refresh, fail_bind, fail_binding; /* error to give; 0 = none */
	int fail_count; /* how often; negative = always */
	struct fz_addr alternate; /* for 300 */
	/* state */
	bool allocated;
	unsigned allocations;
	struct stun_txid alloc_txid;
	uint16_t n_channels, channel[FAKE_LOG];
	struct fz_addr peer[FAKE_LOG];
	/* what came in */
	struct fake_request log[FAKE_LOG];
	size_t n;
};

void fake_turn_init(struct fake_turn *f);
/* Returns the answer's length, 0 = none. Fails the test on a request that is not well-formed. */
int fake_turn_handle(struct fake_turn *f, const struct fz_addr *to, const uint8_t *data, size_t len,
		     uint8_t *answer, size_t cap, uint64_t now_us);
/* Requests of this method since log entry `from`. */
size_t fake_turn_count(const struct fake_turn *f, uint16_t method, size_t from);
const struct fake_request *fake_turn_last(const struct fake_turn *f, uint16_t method);

#endif
