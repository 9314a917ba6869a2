/* SPDX-License-Identifier: Apache-2.0 */
/* What the program may do on this machine, and giving up what it no longer needs. */
#ifndef BIN_PRIVILEGE_H
#define BIN_PRIVILEGE_H

#include <stdbool.h>

#include "options.h"

/* CAP_NET_ADMIN, a TUN device that may be opened, UDP sockets, netlink, and a route that may be set: says the
 * first that is missing and what mends it. EXIT_OK = go on. */
enum exit_code privilege_check(void);
bool privilege_has_net_admin(void);
/* The sentence and exit code for an error at the start, of which the library has logged the details. */
enum exit_code privilege_explain(int err);
/* Keep CAP_NET_ADMIN alone and the system calls of the loop, for good. Failing is no reason to stop. */
void privilege_drop(void);
/* Descriptors for 1,000 DNS queries under way, each of which has a socket, and for all else. */
void privilege_raise_files(void);
/* Allow big socket buffers on this machine; never lowers a limit. */
void privilege_raise_buffers(void);

#endif
