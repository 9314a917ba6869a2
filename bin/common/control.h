/* SPDX-License-Identifier: Apache-2.0 */
/* The local socket by which the running program is asked and told: the server's side, and one question from
 * the outside.
 *
 * A request is a line: "status", "log FILTER", "reload". The answer is a line of JSON: the snapshot, or
 * {"ok":true}, or {"error":"..."}. Any number of requests may follow each other on a connection. */
#ifndef BIN_CONTROL_H
#define BIN_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

/* Connections at once; the one that was silent for longest makes room. */
#define CONTROL_CONNS_MAX 32
/* Longest request, its line end included. */
#define CONTROL_LINE_MAX 2048
/* A connection on which nothing moves for so long is closed. */
#define CONTROL_SILENCE_US 10000000u

struct control;

/* The answer to a request, allocated, without line end; NULL = no memory. */
typedef char *(*control_answer)(void *ctx, const char *request);

/* Listen on this path; its folder is made where it is missing. Only the user of this process, and root, may
 * connect. NULL after a log line: the program works without. `loop` is borrowed. */
struct control *control_open(struct loop *loop, const char *path, control_answer answer, void *ctx);
/* Closes all and removes the socket. NULL is fine. */
void control_close(struct control *c);
/* Deadlines: call when the time has come; UINT64_MAX = there is none. */
uint64_t control_next_us(const struct control *c);
void control_handle_timeout(struct control *c, uint64_t now_us);

/* ---- the other end ---- */

/* A connection to the running program, -1 = there is none. */
int control_probe(const char *path);
/* The same; -1 after saying why there is none. */
int control_connect(const char *path);
/* One request and its answer, allocated; NULL after saying what is wrong. */
char *control_ask(int fd, const char *request);

#endif
