/* SPDX-License-Identifier: Apache-2.0 */
/* sim [--nodes | --devices] [--iceless | --mixed] [--acceptance | --seed N | --seeds A-B] [-v]: path agents,
 * or connectivity nodes, or whole clients and gateways, in simulated networks. Prints what failed and how to
 * run it again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define DEFAULT_SEEDS 1000

struct totals {
	unsigned runs, failed, by_path[3];
	uint64_t first_us, direct_us, slowest_us;
	unsigned n_direct;
};

static const char *const mode_options[] = { "", " --iceless", " --mixed" };

static const char *kind_option(const struct peer_ops *ops)
{
	return ops == NULL ? " --devices" : ops == &node_peer ? " --nodes" : "";
}

/* ops NULL: whole devices. */
static void run_one(const struct peer_ops *ops, enum world_mode mode, uint64_t seed, bool verbose,
		    struct totals *t)
{
	struct world w;
	struct world_result r;

	world_make(&w, seed);
	w.mode = mode;
	if (verbose)
		world_print(&w);
	if (ops != NULL)
		world_run(&w, ops, verbose, &r);
	else
		world_run_devices(&w, verbose, &r);
	t->runs++;
	t->by_path[r.want]++;
	t->first_us += r.first_us;
	if (r.first_us > t->slowest_us)
		t->slowest_us = r.first_us;
	if (r.direct_us) {
		t->direct_us += r.direct_us;
		t->n_direct++;
	}
	if (verbose)
		printf("  got %s, first path after %.1f ms, direct after %.1f ms, recovery %.1f ms, %lu "
		       "checks\n",
		       world_path_name(r.got), (double)r.first_us / 1e3, (double)r.direct_us / 1e3,
		       (double)r.recovery_us / 1e3, (unsigned long)r.checks);
	if (!r.ok) {
		t->failed++;
		if (!verbose)
			world_print(&w);
		printf("  FAILED: %s\n  again: sim%s%s --seed %lu -v\n", r.why, kind_option(ops),
		       mode_options[mode], (unsigned long)seed);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: sim [--nodes | --devices] [--iceless | --mixed] [--acceptance | --seed N | "
			"--seeds A-B] [-v]\n");
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long from = 1, to = DEFAULT_SEEDS;
	struct totals t = { 0 };
	const struct peer_ops *ops = &bare_peer;
	enum world_mode mode = WORLD_ICE;
	bool verbose = false, acceptance = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--acceptance") == 0)
			acceptance = true;
		else if (strcmp(argv[i], "--nodes") == 0)
			ops = &node_peer;
		else if (strcmp(argv[i], "--iceless") == 0)
			mode = WORLD_ICELESS;
		else if (strcmp(argv[i], "--mixed") == 0)
			mode = WORLD_MIXED;
		else if (strcmp(argv[i], "--devices") == 0)
			ops = NULL;
		else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
			from = to = strtoul(argv[++i], NULL, 10);
		else if (i + 1 >= argc || strcmp(argv[i], "--seeds") != 0 ||
			 sscanf(argv[++i], "%lu-%lu", &from, &to) != 2)
			return usage();
	}
	if (acceptance && ops == NULL)
		return usage();
	if (acceptance)
		return acceptance_run(ops, mode) ? 0 : 1;
	for (unsigned long seed = from; seed <= to; seed++)
		run_one(ops, mode, seed, verbose, &t);
	unsigned n_paths = t.by_path[WORLD_DIRECT] + t.by_path[WORLD_RELAYED];
	printf("%s%s, seeds %lu-%lu: %u runs, %u failed; %u direct, %u relayed, %u without a path; first "
	       "path "
	       "%.0f "
	       "ms on average, "
	       "%.0f at most; direct after %.0f ms on average\n",
	       ops ? ops->name : "devices", mode_options[mode], from, to, t.runs, t.failed,
	       t.by_path[WORLD_DIRECT], t.by_path[WORLD_RELAYED], t.by_path[WORLD_NONE],
	       n_paths ? (double)t.first_us / n_paths / 1e3 : 0, (double)t.slowest_us / 1e3,
	       t.n_direct ? (double)t.direct_us / t.n_direct / 1e3 : 0);
	return t.failed != 0;
}
