/* SPDX-License-Identifier: Apache-2.0 */
/* Transport candidates as text: the ICE codec (RFC 8839 section 5.1 as peers of this protocol write it) and
 * the codec of connections without ICE, which always carry the real related address. No state, no allocation.
 */
#ifndef WIRE_CAND_H
#define WIRE_CAND_H

#include "fzconn/addr.h"

enum cand_kind { CAND_HOST = 0, CAND_PRFLX = 1, CAND_SRFLX = 2, CAND_RELAY = 3 };
#define CAND_KINDS 4

/* Longest text that is read or written, with its NUL. What we write is far below. */
#define CAND_TEXT_MAX 512
/* Longest ufrag of RFC 8839 section 5.4, with its NUL. */
#define CAND_UFRAG_MAX 257

struct cand {
	enum cand_kind kind;
	uint32_t priority; /* of the text; a local candidate's is set by its agent */
	struct fz_addr addr; /* where the peer sends to */
	/* Where datagrams of a local candidate leave: host and prflx: addr itself. srflx: our socket's
	 * address. relay: our socket's address towards the relay, maybe of the other family. Of a remote
	 * candidate: its related address as received, family none when the text has none. */
	struct fz_addr base;
};

/* What the ICE text says beyond the candidate itself. */
struct cand_extra {
	uint32_t component;
	bool is_udp;
	char ufrag[CAND_UFRAG_MAX]; /* "" when absent */
};

/* "host", "prflx", "srflx", "relay". */
const char *cand_kind_name(enum cand_kind kind);

/* FZ_ERR_WIRE on malformed text; outputs are set only on success. */
int cand_parse_ice(const char *text, struct cand *ret, struct cand_extra *ret_extra);
/* Announcement with `ufrag`, invalidation without (NULL). The related address is written as the peers do:
 * zero of the candidate's own family. Returns the length, FZ_ERR_NOSPACE when cap is too small. */
int cand_format_ice(const struct cand *c, const char *ufrag, char *buf, size_t cap);

/* Codec of connections without ICE: srflx and relay must carry raddr and rport; unknown types are
 * FZ_ERR_UNSUPPORTED. */
int cand_parse_plain(const char *text, struct cand *ret);
int cand_format_plain(const struct cand *c, char *buf, size_t cap);

/* What every receiver demands of any candidate text before it looks closer: the prefix and a decimal 32-bit
 * priority as 4th field. FZ_ERR_WIRE otherwise. */
int cand_text_priority(const char *text, uint32_t *ret);
/* Order of a signalling message: descending priority, then the text itself. Malformed texts come last. */
int cand_text_compare(const char *a, const char *b);

/* May this address be a candidate at all? Loopback, private and IPv6 link-local may; IPv4 link-local,
 * broadcast, multicast and the unspecified address may not; port 0 may not. */
bool cand_addr_usable(const struct fz_addr *addr);

/* RFC 8445 section 5.1.2.1 with component 1. */
static inline uint32_t cand_priority(uint32_t type_pref, uint32_t local_pref)
{
	return type_pref << 24 | local_pref << 8 | 255;
}

#endif
