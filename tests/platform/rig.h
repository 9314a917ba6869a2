/* SPDX-License-Identifier: Apache-2.0 */
/* What the conformance test needs to know of a platform: two hosts that reach each other, the kernel's side
 * of the first one's tunnel, and a server for streams. One implementation per platform. */
#ifndef RIG_H
#define RIG_H

#include "fzconn/platform.h"

/* Tunnel address of host a, its peer behind the tunnel, and the ports they use. */
#define RIG_TUN4 "100.64.0.1"
#define RIG_TUN6 "fd00:2021:1111::1"
#define RIG_FAR4 "10.9.0.7"
#define RIG_NEAR_PORT 5000
#define RIG_FAR_PORT 7
/* Where the streams' server listens, and where none does. */
#define RIG_SERVER "127.0.0.1"
#define RIG_SERVER_PORT 4433
#define RIG_CLOSED_PORT 4434

struct rig {
	struct fz_platform a, b;
	struct fz_ip a4, a6, b4, b6;
};
extern struct rig rig;

/* Ends the program with status 77 and a reason when the platform cannot be tested here. */
void rig_probe(void);
/* Made anew for each test, in a process of its own. */
void rig_open(bool offload);
void rig_close(void);
/* Time passes: where the platform has a clock of its own, nothing is to be done. */
void rig_pass(uint64_t us);
/* The kernel of host a sends UDP datagrams of seg bytes (the last may be shorter) from RIG_TUN4 to RIG_FAR4.
 */
void rig_feed(const uint8_t *payload, size_t len, uint16_t seg);
/* The next UDP payload that the kernel of host a took from its tunnel, 0 = none now. */
size_t rig_collect(uint8_t *buf, size_t cap);
/* Server: takes one connection and sends back what it gets. */
void rig_server_open(void);
void rig_server_step(void);
void rig_server_hangup(void);
/* Things that happen to host a. */
void rig_change_network(void);
void rig_delete_tun(void);

#endif
