/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's tunnel device: opened at the start, and made anew when somebody deletes it. */
#include "api/run_priv.h"
#include "base/log.h"
#include "base/time.h"

/* How often it is made anew in that time. */
#define REMAKES_MAX 10
#define REMAKES_US FZ_SEC(60)

int run_open_tun(struct fz_run *r)
{
	struct fz_tun_opts tun = r->opts.tun;
	int err;

	tun.size = sizeof(tun);
	err = call(r, tun_open, &tun);
	if (err == 0)
		endpoint_set_offload(r->endpoint, ask(r, tun_offload));
	return err;
}

/* One that the program gave us cannot be had again. */
static bool may_remake(struct fz_run *r)
{
	if (r->now_us - r->remade_us >= REMAKES_US) {
		r->remade_us = r->now_us;
		r->remade = 0;
	}
	return r->opts.tun.fd < 1 && r->remade++ < REMAKES_MAX;
}

void run_remake_tun(struct fz_run *r)
{
	int err;

	r->tun_lost = false;
	fz_warn(r->env, "run", "the tunnel interface was deleted");
	ask(r, tun_close);
	err = may_remake(r) ? run_open_tun(r) : FZ_ERR_IO;
	if (err == 0) {
		fz_info(r->env, "run", "the tunnel interface is there again");
		endpoint_renew_netcfg(r->endpoint);
		return;
	}
	r->dead = true;
	r->dead_err = FZ_ERR_IO;
}
