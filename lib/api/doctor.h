/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of fz_doctor_run(): each adds its rows. */
#ifndef API_DOCTOR_H
#define API_DOCTOR_H

#include "base/time.h"
#include "core/portal.h"
#include "fzconn/diag.h"
#include "fzconn/nat.h"

#define DOCTOR_RELAYS_MAX 8

struct doctor_relay {
	struct fz_addr server;
	char username[520], password[520]; /* "" = unknown: only STUN can be tried */
};

struct doctor {
	const struct fz_env *env;
	const struct fz_platform *p;
	struct fz_doctor_opts o;
	struct fz_report *report;
	struct doctor_relay relays[DOCTOR_RELAYS_MAX];
	size_t relays_len;
	bool portal_away; /* its host is not reached */
	const char *no_relays; /* why there are none */
	uint64_t date_s, date_us; /* the clock of a server, and when it was read; 0 = none told */
};

#define doctor_ask(d, fn) ((d)->p->ops->fn((d)->p->ctx))
#define doctor_call(d, fn, ...) ((d)->p->ops->fn((d)->p->ctx, __VA_ARGS__))

/* A new row; the texts are printed into it. `remedy` NULL = none. */
struct fz_check *doctor_row(struct doctor *d, const char *name, enum fz_check_verdict verdict,
			    uint64_t took_us);
void doctor_say(struct fz_check *c, const char *fmt, ...) FZ_PRINTF(2, 3);
void doctor_mend(struct fz_check *c, const char *fmt, ...) FZ_PRINTF(2, 3);

int doctor_web(struct doctor *d); /* hosts, clock, name servers */
int doctor_portal(struct doctor *d); /* the control plane; learns the relays */
int doctor_udp(struct doctor *d); /* relays, NAT, peers, packet size */

#endif
