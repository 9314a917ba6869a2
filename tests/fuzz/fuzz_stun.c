/* SPDX-License-Identifier: Apache-2.0 */
/* STUN and TURN messages: what decodes stays inside the datagram, and can be written again with the same
 * meaning. */
#include <stdlib.h>
#include <string.h>

#include "wire/turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool inside(const struct stun_bytes *b, const uint8_t *data, size_t size)
{
	return b->p == NULL || (b->p >= data && b->p + b->len <= data + size);
}

static bool same_bytes(const struct stun_bytes *a, const struct stun_bytes *b)
{
	return a->len == b->len && (a->p == NULL) == (b->p == NULL) &&
	       (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static void rewrite(const struct stun_msg *m)
{
	static uint8_t buf[2 * STUN_MSG_MAX];
	struct stun_enc e;
	struct stun_msg again;
	struct stun_iter it = stun_attrs(m);
	struct stun_attr a;

	stun_enc_init(&e, buf, sizeof(buf), m->method, (enum stun_class)m->cls, &m->txid);
	while (stun_next_attr(&it, &a))
		stun_put(&e, a.type, a.value.at, fz_rd_left(&a.value));
	stun_put_integrity(&e, "key", 3);
	stun_put_integrity256(&e, "key", 3);
	stun_put_fingerprint(&e);
	int n = stun_enc_end(&e);
	if (n == FZ_ERR_NOSPACE)
		return; /* the attributes of protection made it too long */
	must(n > 0 && stun_decode(buf, (size_t)n, &again) == 0);
	must(stun_check_integrity(&again, "key", 3) == 0 && stun_check_integrity256(&again, "key", 3) == 0);
	must(stun_check_fingerprint(&again) == 0);
	must(again.method == m->method && again.cls == m->cls && again.error_code == m->error_code);
	must(again.priority == m->priority && again.tie_breaker == m->tie_breaker &&
	     again.n_unknown == m->n_unknown);
	must(fz_addr_equal(&again.mapped, &m->mapped) && same_bytes(&again.username, &m->username));
	must(same_bytes(&again.nonce, &m->nonce) && same_bytes(&again.realm, &m->realm));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stun_msg m;
	struct turn_attrs t;
	const struct stun_bytes *views[] = { &m.username, &m.userhash, &m.realm,
					     &m.nonce,    &m.software, &m.reason };

	if (stun_decode(data, size, &m) != 0)
		return 0;
	must(stun_looks_like(data, size) && size <= STUN_MSG_MAX);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		must(inside(views[i], data, size));
	must(m.n_unknown <= STUN_UNKNOWN_MAX);
	must(m.error_code == 0 || (m.error_code >= 300 && m.error_code <= 699));
	must(stun_check_integrity(&m, "key", 3) <= 0 && stun_check_integrity256(&m, "key", 3) <= 0);
	must(stun_check_fingerprint(&m) <= 0);
	if (turn_attrs_decode(&m, &t) == 0)
		must(inside(&t.data, data, size));
	rewrite(&m);
	return 0;
}
