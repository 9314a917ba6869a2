/* SPDX-License-Identifier: Apache-2.0 */
/* The TURN client on real sockets against a real server, all in a network namespace of the test. The client's
 * clock may run faster than the wall's, so that minutes of the protocol fit into seconds. */
#ifndef LIVE_H
#define LIVE_H

#include <sys/types.h>

#include "unit.h"

#include "proto/turn_alloc.h"

struct live_peer { /* a UDP echo service of its own; its address is the channel's peer */
	int fd;
	struct fz_addr addr;
	unsigned echoed;
};

struct live {
	struct fz_env env;
	struct turn_alloc *a;
	int fd4, fd6;
	struct fz_addr local4, local6;
	unsigned speed; /* the client's clock against the wall's */
	struct live_peer peer[2]; /* IPv4, IPv6 */
	/* events and data so far */
	unsigned n_mapped, n_relayed, n_lost, n_failed, n_refused, n_back;
	enum turn_reason reason; /* of TURN_FAILED */
	uint16_t code; /* of TURN_REFUSED */
	char log[4096]; /* what went wrong, for messages */
};

/* Namespace with the addresses that everything here uses: server .101, client .7, echo .9 of 203.0.113.0/24
 * and 2001:db8::/64. Ends the program with 77 where that is not allowed. */
void live_namespace(void);
/* Seconds of the wall clock. */
double live_wall(void);

/* A server process; `ready` is a line part to wait for in its output, NULL = wait until it answers STUN. */
pid_t live_spawn(const char *const argv[], const char *log_file);
void live_kill(pid_t pid, int signal);
void live_wait_for_stun(void);

/* port 0 = any. */
void live_open(struct live *l, const char *username, const char *password, uint16_t port, unsigned speed);
void live_close(struct live *l);
/* Run until `done` says so (checked after every event) or `wall_s` seconds passed; tells which. */
bool live_run(struct live *l, double wall_s, bool (*done)(struct live *l));
/* One payload to the peer through its channel; false when there is none yet. */
bool live_send(struct live *l, unsigned peer, const char *text);
bool live_is_ready(struct live *l);
bool live_failed(struct live *l);
/* A payload to both peers every 100 ms for this long; how many of them came back. */
unsigned live_chat(struct live *l, double wall_s, unsigned *ret_sent);

#endif
