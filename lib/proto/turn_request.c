/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/turn_alloc_int.h"

/* ADDITIONAL-ADDRESS-FAMILY under the number of its drafts: the servers of 2023's distributions know no
 * other, and it is comprehension-optional, so that all others skip it. */
#define ADDITIONAL_ADDRESS_FAMILY_DRAFT 0x8032

static void put_software(const struct turn_alloc *a, struct stun_enc *e)
{
	if (a->software[0] != '\0')
		stun_put_text(e, STUN_SOFTWARE, a->software);
}

int turn_write_binding(const struct turn_alloc *a, const struct stun_txid *id, uint8_t *buf, size_t cap)
{
	struct stun_enc e;

	stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_REQUEST, id);
	put_software(a, &e);
	return stun_enc_end(&e);
}

static void put_families(const struct turn_alloc *a, struct stun_enc *e)
{
	switch (a->ask) {
	case ASK_BOTH_AND_DRAFT:
		turn_put_family(e, TURN_ADDITIONAL_ADDRESS_FAMILY, FZ_FAMILY_INET6);
		turn_put_family(e, ADDITIONAL_ADDRESS_FAMILY_DRAFT, FZ_FAMILY_INET6);
		break;
	case ASK_BOTH:
		turn_put_family(e, TURN_ADDITIONAL_ADDRESS_FAMILY, FZ_FAMILY_INET6);
		break;
	case ASK_V6:
		turn_put_family(e, TURN_REQUESTED_ADDRESS_FAMILY, FZ_FAMILY_INET6);
		break;
	default: /* IPv4 is what a server gives to one that asks for nothing */
		break;
	}
}

int turn_write_control(const struct turn_alloc *a, uint8_t *buf, size_t cap)
{
	struct stun_enc e;
	uint16_t method = a->ctl == CTL_ALLOCATE ? TURN_ALLOCATE : TURN_REFRESH;

	stun_enc_init(&e, buf, cap, method, STUN_REQUEST, &a->ctl_txn.id);
	if (a->ctl == CTL_ALLOCATE) {
		turn_put_transport(&e);
		put_families(a, &e);
	}
	put_software(a, &e);
	if (a->ctl == CTL_RELEASE)
		stun_put_u32(&e, TURN_LIFETIME, 0);
	turn_auth_put(&a->auth, &e);
	return stun_enc_end(&e);
}

int turn_write_bind(const struct turn_alloc *a, const struct turn_chan *c, uint8_t *buf, size_t cap)
{
	struct stun_enc e;

	stun_enc_init(&e, buf, cap, TURN_CHANNEL_BIND, STUN_REQUEST, &c->txn.id);
	stun_put_xor_addr(&e, TURN_XOR_PEER_ADDRESS, &c->peer);
	turn_put_channel(&e, c->number);
	put_software(a, &e);
	turn_auth_put(&a->auth, &e);
	return stun_enc_end(&e);
}
