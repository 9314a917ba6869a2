/* SPDX-License-Identifier: Apache-2.0 */
/* STUN messages (RFC 8489) with the attributes of ICE (RFC 8445 section 16.1): bytes to struct and back.
 * Attributes of TURN are in wire/turn.h. The decoder borrows its input; the encoder writes attributes in
 * exactly the order of the calls. No state, no time, nothing is logged. */
#ifndef WIRE_STUN_H
#define WIRE_STUN_H

#include "base/addr.h"
#include "base/rd.h"
#include "base/wr.h"

#define STUN_HEADER_LEN 20
#define STUN_COOKIE 0x2112a442u
#define STUN_TXID_LEN 12
/* Longest message that is read or written: far above what fits an unfragmented datagram. */
#define STUN_MSG_MAX 2048
#define STUN_INTEGRITY_LEN 20
#define STUN_INTEGRITY256_LEN 32
/* Comprehension-required attributes without a meaning here that are remembered for a 420. */
#define STUN_UNKNOWN_MAX 8

enum stun_class { STUN_REQUEST = 0, STUN_INDICATION = 1, STUN_SUCCESS = 2, STUN_ERROR = 3 };

enum stun_method { STUN_BINDING = 0x001 };

/* Family byte of address attributes. */
enum { STUN_FAMILY_IPV4 = 1, STUN_FAMILY_IPV6 = 2 };

enum stun_attr_type {
	STUN_MAPPED_ADDRESS = 0x0001,
	STUN_USERNAME = 0x0006,
	STUN_MESSAGE_INTEGRITY = 0x0008,
	STUN_ERROR_CODE = 0x0009,
	STUN_UNKNOWN_ATTRIBUTES = 0x000a,
	STUN_REALM = 0x0014,
	STUN_NONCE = 0x0015,
	STUN_MESSAGE_INTEGRITY_SHA256 = 0x001c,
	STUN_PASSWORD_ALGORITHM = 0x001d,
	STUN_USERHASH = 0x001e,
	STUN_XOR_MAPPED_ADDRESS = 0x0020,
	STUN_PRIORITY = 0x0024,
	STUN_USE_CANDIDATE = 0x0025,
	STUN_PASSWORD_ALGORITHMS = 0x8002,
	STUN_ALTERNATE_DOMAIN = 0x8003,
	STUN_SOFTWARE = 0x8022,
	STUN_ALTERNATE_SERVER = 0x8023,
	STUN_FINGERPRINT = 0x8028,
	STUN_ICE_CONTROLLED = 0x8029,
	STUN_ICE_CONTROLLING = 0x802a
};

/* Error codes; those of TURN are in wire/turn.h. */
enum stun_code {
	STUN_CODE_TRY_ALTERNATE = 300,
	STUN_CODE_BAD_REQUEST = 400,
	STUN_CODE_UNAUTHENTICATED = 401,
	STUN_CODE_UNKNOWN_ATTRIBUTE = 420,
	STUN_CODE_STALE_NONCE = 438,
	STUN_CODE_ROLE_CONFLICT = 487,
	STUN_CODE_SERVER_ERROR = 500
};

struct stun_txid {
	uint8_t b[STUN_TXID_LEN];
};

/* A view into the message; p is NULL when the attribute is absent, never NULL when it is present but empty.
 */
struct stun_bytes {
	const uint8_t *p;
	uint16_t len;
};

/* A decoded message. The first of several equal attributes counts. Attributes behind MESSAGE-INTEGRITY other
 * than MESSAGE-INTEGRITY-SHA256 and FINGERPRINT are ignored, because nothing protects them. Views live as
 * long as the input. Nothing here is authenticated before stun_check_integrity() said so. */
struct stun_msg {
	const uint8_t *data;
	uint16_t len;
	uint16_t method; /* 12 bits */
	uint8_t cls; /* enum stun_class */
	bool use_candidate, has_priority, controlling, controlled;
	struct stun_txid txid;
	struct fz_addr mapped; /* XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of an RFC 3489 server; family none =
				  absent */
	struct fz_addr alternate; /* ALTERNATE-SERVER */
	struct stun_bytes username, userhash, realm, nonce, software, reason;
	uint16_t error_code; /* 300-699, 0 = absent */
	uint32_t priority;
	uint64_t tie_breaker; /* of ICE-CONTROLLING or ICE-CONTROLLED */
	uint16_t integrity_at; /* offset of the attribute's header from data, 0 = absent */
	uint16_t integrity256_at, integrity256_len;
	uint16_t fingerprint_at;
	uint16_t n_unknown; /* comprehension-required attributes that neither STUN, ICE nor TURN knows */
	uint16_t unknown[STUN_UNKNOWN_MAX];
};

/* Could this datagram be STUN? First two bits, cookie and length. For demultiplexing: never a proof. */
bool stun_looks_like(const void *data, size_t len);

/* Decode a whole datagram. FZ_ERR_WIRE: not STUN or malformed, *ret untouched. Every length up to len is
 * bounded. */
int stun_decode(const void *data, size_t len, struct stun_msg *ret);

/* MESSAGE-INTEGRITY (HMAC-SHA1) under this key: the password's bytes for short-term credentials, the MD5 of
 * stun_long_term_key() for long-term ones. 0, FZ_ERR_NOT_FOUND without the attribute, FZ_ERR_AUTH on a
 * mismatch, FZ_ERR_CRYPTO. */
int stun_check_integrity(const struct stun_msg *m, const void *key, size_t key_len);
/* The same for MESSAGE-INTEGRITY-SHA256, truncated values included (RFC 8489 section 14.6). */
int stun_check_integrity256(const struct stun_msg *m, const void *key, size_t key_len);
/* 0, FZ_ERR_NOT_FOUND without the attribute, FZ_ERR_WIRE on a wrong checksum. */
int stun_check_fingerprint(const struct stun_msg *m);

#define STUN_LONG_TERM_KEY_LEN 16
/* MD5(username ":" realm ":" password), RFC 8489 section 9.2.2; the parts are taken as they are, without a
 * string profile. FZ_ERR_NOSPACE when they exceed 1,500 bytes together, FZ_ERR_CRYPTO. */
int stun_long_term_key(const char *username, const char *realm, const char *password,
		       uint8_t ret_key[STUN_LONG_TERM_KEY_LEN]);

/* One attribute after the other, for the decoders of extensions: stops in front of whatever integrity does
 * not protect. The message must have passed stun_decode(). */
struct stun_attr {
	uint16_t type;
	struct fz_rd value;
};
struct stun_iter {
	struct fz_rd body;
};
struct stun_iter stun_attrs(const struct stun_msg *m);
bool stun_next_attr(struct stun_iter *it, struct stun_attr *ret);
/* Read a (XOR-)address value: false when it is malformed. txid NULL = not xored. */
bool stun_read_addr(struct fz_rd value, const struct stun_txid *txid, struct fz_addr *ret);

/* ---- encoder ---- */

struct stun_enc {
	struct fz_wr w;
	struct stun_txid txid;
	int err; /* first failure */
};

/* cls: enum stun_class. The buffer belongs to the caller. */
void stun_enc_init(struct stun_enc *e, void *buf, size_t cap, uint16_t method, enum stun_class cls,
		   const struct stun_txid *txid);
/* Any attribute; the padding is zero and not counted in its length. */
void stun_put(struct stun_enc *e, uint16_t type, const void *value, size_t len);
void stun_put_text(struct stun_enc *e, uint16_t type, const char *text);
void stun_put_u32(struct stun_enc *e, uint16_t type, uint32_t value);
void stun_put_u64(struct stun_enc *e, uint16_t type, uint64_t value);
void stun_put_addr(struct stun_enc *e, uint16_t type, const struct fz_addr *addr);
void stun_put_xor_addr(struct stun_enc *e, uint16_t type, const struct fz_addr *addr);
/* ERROR-CODE with the reason phrase as it is. */
void stun_put_error(struct stun_enc *e, uint16_t code, const char *reason);
/* UNKNOWN-ATTRIBUTES */
void stun_put_unknown(struct stun_enc *e, const uint16_t *types, size_t n);
/* MESSAGE-INTEGRITY over everything so far; only FINGERPRINT and MESSAGE-INTEGRITY-SHA256 may follow. */
void stun_put_integrity(struct stun_enc *e, const void *key, size_t key_len);
/* MESSAGE-INTEGRITY-SHA256, untruncated. */
void stun_put_integrity256(struct stun_enc *e, const void *key, size_t key_len);
/* FINGERPRINT; the last attribute. */
void stun_put_fingerprint(struct stun_enc *e);
/* Sets the length field. Returns the message's length, FZ_ERR_NOSPACE, FZ_ERR_INVAL for an address without
 * family, or FZ_ERR_CRYPTO. */
int stun_enc_end(struct stun_enc *e);

#endif
