/* SPDX-License-Identifier: Apache-2.0 */
#include "api/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/opts.h"
#include "base/secret.h"
#include "base/text.h"

static void print(char *dst, size_t cap, const char *fmt, va_list ap)
{
	vsnprintf(dst, cap, fmt, ap);
	fz_text_printable(dst);
}

struct fz_check *doctor_row(struct doctor *d, const char *name, enum fz_check_verdict verdict,
			    uint64_t took_us)
{
	struct fz_report *r = d->report;
	struct fz_check *c = &r->checks[r->len < FZ_CHECKS_MAX ? r->len++ : FZ_CHECKS_MAX - 1];

	*c = (struct fz_check){ .name = name, .verdict = verdict, .took_us = took_us };
	if (verdict > r->worst)
		r->worst = verdict;
	return c;
}

void doctor_say(struct fz_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(c->what, sizeof(c->what), fmt, ap);
	va_end(ap);
}

void doctor_mend(struct fz_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(c->remedy, sizeof(c->remedy), fmt, ap);
	va_end(ap);
}

static void take_relays(struct doctor *d)
{
	for (size_t i = 0; i < d->o.relays_len && i < DOCTOR_RELAYS_MAX; i++)
		d->relays[d->relays_len++].server = d->o.relays[i];
	if (d->relays_len == 0)
		d->no_relays = "the relays are not known: they are told at sign-in";
}

int fz_doctor_run(const struct fz_env *env, const struct fz_platform *platform,
		  const struct fz_doctor_opts *opts, struct fz_report *ret)
{
	struct doctor d = { .env = env ? env : fz_env_default(), .p = platform, .report = ret };
	int err;

	if (opts == NULL)
		return FZ_ERR_INVAL;
	err = fz_opts_import(&d.o, sizeof(d.o), opts, opts->size);
	if (err != 0)
		return err;
	if ((d.o.role != FZ_PORTAL_CLIENT && d.o.role != FZ_PORTAL_GATEWAY) ||
	    (d.o.token && (d.o.id == NULL || d.o.name == NULL || d.o.user_agent == NULL)))
		return FZ_ERR_INVAL;
	memset(ret, 0, sizeof(*ret));
	take_relays(&d);
	err = doctor_web(&d);
	if (err == 0)
		err = doctor_portal(&d);
	if (err == 0)
		err = doctor_udp(&d);
	fz_wipe(d.relays, sizeof(d.relays));
	return err;
}
