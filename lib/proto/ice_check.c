/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ice_check.h"

#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "fzconn/error.h"

static bool ufrag_ok(const char *s)
{
	return s != NULL && s[0] != '\0' && strlen(s) <= ICE_UFRAG_MAX && strchr(s, ':') == NULL;
}

static bool pwd_ok(const char *s)
{
	return s != NULL && s[0] != '\0' && strlen(s) <= ICE_PWD_MAX;
}

int ice_creds_init(struct ice_creds *c, const char *local_ufrag, const char *local_pwd,
		   const char *remote_ufrag, const char *remote_pwd)
{
	if (!ufrag_ok(local_ufrag) || !ufrag_ok(remote_ufrag) || !pwd_ok(local_pwd) || !pwd_ok(remote_pwd))
		return FZ_ERR_INVAL;
	snprintf(c->username_in, sizeof(c->username_in), "%s:%s", local_ufrag, remote_ufrag);
	snprintf(c->username_out, sizeof(c->username_out), "%s:%s", remote_ufrag, local_ufrag);
	c->local_ufrag_len = strlen(local_ufrag);
	snprintf(c->local_pwd, sizeof(c->local_pwd), "%s", local_pwd);
	snprintf(c->remote_pwd, sizeof(c->remote_pwd), "%s", remote_pwd);
	return 0;
}

void ice_creds_clear(struct ice_creds *c)
{
	fz_wipe(c, sizeof(*c));
}

struct stun_txid ice_txid(uint32_t tag, uint64_t random)
{
	struct stun_txid id;

	fz_put_be32(id.b, tag ^ (uint32_t)random);
	fz_put_be64(id.b + 4, random);
	return id;
}

uint32_t ice_txid_tag(const struct stun_txid *id)
{
	return fz_get_be32(id->b) ^ fz_get_be32(id->b + 8);
}

uint64_t ice_txid_random(const struct stun_txid *id)
{
	return (uint64_t)fz_get_be32(id->b + 4) << 32 | fz_get_be32(id->b + 8);
}

static int finish(struct stun_enc *e, const char *pwd)
{
	stun_put_integrity(e, pwd, strlen(pwd));
	stun_put_fingerprint(e);
	return stun_enc_end(e);
}

int ice_encode_request(const struct ice_creds *c, const struct ice_request *r, void *buf, size_t cap)
{
	struct stun_enc e;

	stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_REQUEST, &r->txid);
	stun_put_text(&e, STUN_USERNAME, c->username_out);
	stun_put_u64(&e, r->is_controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, r->tie_breaker);
	stun_put_u32(&e, STUN_PRIORITY, r->priority);
	if (r->use_candidate)
		stun_put(&e, STUN_USE_CANDIDATE, NULL, 0);
	return finish(&e, c->remote_pwd);
}

int ice_encode_success(const struct ice_creds *c, const struct stun_txid *txid, const struct fz_addr *mapped,
		       void *buf, size_t cap)
{
	struct stun_enc e;

	stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_SUCCESS, txid);
	stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, mapped);
	return finish(&e, c->local_pwd);
}

int ice_encode_role_conflict(const struct ice_creds *c, const struct stun_txid *txid, void *buf, size_t cap)
{
	struct stun_enc e;

	stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_ERROR, txid);
	stun_put_error(&e, STUN_CODE_ROLE_CONFLICT, "Role Conflict");
	return finish(&e, c->local_pwd);
}

static int decode_request(const struct ice_creds *c, const struct stun_msg *m, struct ice_msg *ret)
{
	if (m->username.p == NULL || !m->has_priority || m->integrity_at == 0 ||
	    (m->controlling && m->controlled))
		return FZ_ERR_WIRE;
	if (m->username.len != strlen(c->username_in) ||
	    memcmp(m->username.p, c->username_in, m->username.len) != 0)
		return FZ_ERR_NOT_MINE;
	ret->type = ICE_REQUEST;
	ret->request = (struct ice_request){ .txid = m->txid,
					     .has_role = m->controlling || m->controlled,
					     .is_controlling = m->controlling,
					     .use_candidate = m->use_candidate,
					     .tie_breaker = m->tie_breaker,
					     .priority = m->priority };
	return 0;
}

int ice_decode(const struct ice_creds *c, const void *data, size_t len, struct ice_msg *ret)
{
	struct ice_msg got = { 0 };
	const char *pwd = c->remote_pwd;
	struct stun_msg m;
	int err = stun_decode(data, len, &m);

	if (err != 0)
		return err;
	if (m.method != STUN_BINDING || m.cls == STUN_INDICATION)
		return FZ_ERR_NOT_MINE;
	got.txid = m.txid;
	if (m.cls == STUN_REQUEST) {
		err = decode_request(c, &m, &got);
		if (err != 0)
			return err;
		pwd = c->local_pwd;
	} else if (m.cls == STUN_SUCCESS) {
		got.type = ICE_SUCCESS;
		got.mapped = m.mapped;
		if (!fz_addr_set(&m.mapped))
			return FZ_ERR_WIRE;
	} else {
		got.type = ICE_ERROR;
		got.error_code = m.error_code;
	}
	/* FINGERPRINT proves nothing that MESSAGE-INTEGRITY does not. */
	err = stun_check_integrity(&m, pwd, strlen(pwd));
	if (err != 0)
		return err == FZ_ERR_NOT_FOUND ? FZ_ERR_WIRE : err;
	*ret = got;
	return 0;
}
