/* SPDX-License-Identifier: Apache-2.0 */
/* Named networks without chance: the NAT table of the acceptance scenarios, each under its id. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "world.h"

enum kind { OPEN, EIM, EIM_ADDRESS, EIM_PORT, EDM_PORT, DROPS_FROM, DROPS_TO, DROPS_ALL, FORWARDED, KINDS };

static const char *const kind_names[KINDS] = {
	"open",           "EIM/open",      "EIM/address",
	"EIM/port",       "EDM/port",      "drops from peers",
	"drops to peers", "drops all UDP", "EDM/port, port forwarded"
};

static const struct peer_ops *ops;
static enum world_mode mode;
static unsigned n_run, n_failed;

static struct nat_opts nat_of_kind(enum kind kind, const char *public_ip, const char *inside)
{
	struct nat_opts o = { .mapping = NAT_EIM, .filter = NAT_FILTER_PORT, .expiry_us = FZ_SEC(120) };

	if (fz_ip_parse(public_ip, &o.public_ip) != 0)
		return o;
	switch (kind) {
	case OPEN:
		o.mapping = NAT_OPEN;
		o.filter = NAT_FILTER_NONE;
		break;
	case EIM:
		o.filter = NAT_FILTER_NONE;
		break;
	case EIM_ADDRESS:
		o.filter = NAT_FILTER_ADDRESS;
		break;
	case FORWARDED:
		o.forwarded_port = 52625;
		if (fz_ip_parse(inside, &o.forwarded_to.ip) == 0)
			o.forwarded_to.port = 52625;
		o.mapping = NAT_EDM;
		break;
	case EDM_PORT:
		o.mapping = NAT_EDM;
		break;
	case DROPS_FROM:
		o.drops_from_peers = true;
		break;
	case DROPS_TO:
		o.drops_to_peers = true;
		break;
	case DROPS_ALL:
		o.drops_all = true;
		break;
	case EIM_PORT:
	case KINDS:
		break;
	}
	return o;
}

static struct world_side side(enum kind kind, bool is_client, bool has6)
{
	struct world_side s = { .has4 = true, .has6 = has6, .portal_delay_us = FZ_MS(1) };

	s.site.nat4 = nat_of_kind(kind, is_client ? "203.0.113.21" : "203.0.113.31",
				  is_client ? "192.168.1.2" : "192.168.2.2");
	s.site.nat6 =
		(struct nat_opts){ .mapping = NAT_OPEN, .filter = NAT_FILTER_PORT, .expiry_us = FZ_SEC(120) };
	s.site.link = (struct sim_link){ .delay_us = FZ_MS(5) };
	return s;
}

static struct world network(enum kind client, enum kind gateway, bool has6)
{
	struct world w = { .seed = 1, .mode = mode, .n_relays = 1, .relay_link = { .delay_us = FZ_MS(5) } };

	w.client = side(client, true, has6);
	w.gateway = side(gateway, false, has6);
	w.relay_has6[0] = true;
	w.relay_channels_only[0] = true;
	return w;
}

static void expect(const char *id, const char *what, const struct world *w, enum world_path want,
		   uint64_t direct_ms)
{
	struct world_result r;

	world_run(w, ops, false, &r);
	n_run++;
	if (r.ok && r.want != want) {
		r.ok = false;
		snprintf(r.why, sizeof(r.why), "path is %s, expected %s", world_path_name(r.want),
			 world_path_name(want));
	}
	/* Without ICE a handshake over the relays comes before the first probe. */
	if (mode == WORLD_ICELESS)
		direct_ms += direct_ms / 2;
	if (r.ok && want == WORLD_DIRECT && direct_ms > 0 && r.direct_us > FZ_MS(direct_ms)) {
		r.ok = false;
		snprintf(r.why, sizeof(r.why), "direct only after %.1f ms", (double)r.direct_us / 1e3);
	}
	if (r.ok)
		return;
	n_failed++;
	printf("%s %s: %s\n", id, what, r.why);
	world_print(w);
}

static void direct_4_4(void)
{
	for (enum kind c = OPEN; c <= EIM_PORT; c++)
		for (enum kind g = OPEN; g <= EIM_PORT; g++) {
			struct world w = network(c, g, false);
			char what[64];
			snprintf(what, sizeof(what), "%s - %s", kind_names[c], kind_names[g]);
			/* Round trips here are 20 ms direct, 40 to 60 ms relayed; candidates take 4 ms. */
			expect("4.4", what, &w, WORLD_DIRECT, 100);
		}
}

static void relayed_4_5(void)
{
	static const enum kind pairs[][2] = { { EDM_PORT, EIM_PORT },
					      { EIM_PORT, EDM_PORT },
					      { EDM_PORT, EDM_PORT } };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct world v4 = network(pairs[i][0], pairs[i][1], false),
			     v6 = network(pairs[i][0], pairs[i][1], true);
		expect("4.5", "IPv4", &v4, WORLD_RELAYED, 0);
		expect("4.5", "IPv6", &v6, WORLD_DIRECT, 100);
	}
}

static void expiry_4_6(void)
{
	static const uint64_t expiries_s[] = { 30, 60, 120, 300 };

	for (int i = 0; i < 8; i++) {
		struct world w = network(EIM_PORT, EIM_PORT, false);
		char what[64];
		w.client.site.nat4.expiry_us = w.gateway.site.nat4.expiry_us = FZ_SEC(expiries_s[i / 2]);
		w.client.site.nat4.inbound_refreshes = w.gateway.site.nat4.inbound_refreshes = i & 1;
		w.event = WORLD_IDLE;
		w.event_us = FZ_SEC(360);
		snprintf(what, sizeof(what), "expiry %lu s", (unsigned long)expiries_s[i / 2]);
		expect("4.6", what, &w, WORLD_DIRECT, 0);
	}
}

/* What stands in the way of UDP, and a forwarded port that only an inferred candidate finds (4.7). */
static void obstacles(void)
{
	static const struct {
		const char *id;
		enum kind client, gateway;
		enum world_path want;
	} rows[] = {
		{ "4.7", FORWARDED, EDM_PORT, WORLD_DIRECT },
		{ "4.7", EDM_PORT, FORWARDED, WORLD_DIRECT },
		{ "blocked", DROPS_FROM, OPEN, WORLD_RELAYED },
		{ "blocked", OPEN, DROPS_FROM, WORLD_RELAYED },
		{ "blocked", DROPS_FROM, DROPS_FROM, WORLD_RELAYED },
		{ "blocked", DROPS_TO, OPEN, WORLD_RELAYED },
		{ "blocked", DROPS_TO, DROPS_TO, WORLD_RELAYED },
		{ "blocked", DROPS_FROM, EDM_PORT, WORLD_RELAYED },
		{ "blocked", DROPS_ALL, OPEN, WORLD_NONE },
		{ "blocked", EIM_PORT, DROPS_ALL, WORLD_NONE },
		{ "symmetric", EDM_PORT, EIM_ADDRESS, WORLD_DIRECT },
		{ "symmetric", EIM, EDM_PORT, WORLD_DIRECT },
		{ "symmetric", OPEN, EDM_PORT, WORLD_DIRECT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w = network(rows[i].client, rows[i].gateway, false);
		char what[96];
		snprintf(what, sizeof(what), "%s - %s", kind_names[rows[i].client],
			 kind_names[rows[i].gateway]);
		expect(rows[i].id, what, &w, rows[i].want, 400);
	}
}

bool acceptance_run(const struct peer_ops *with, enum world_mode which)
{
	ops = with;
	mode = which;
	direct_4_4();
	relayed_4_5();
	expiry_4_6();
	obstacles();
	printf("acceptance (%s%s): %u networks, %u failed\n", ops->name,
	       mode == WORLD_ICELESS ? ", iceless" : "", n_run, n_failed);
	return n_failed == 0;
}
