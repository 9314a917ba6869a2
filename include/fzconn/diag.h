/* SPDX-License-Identifier: Apache-2.0 */
/** @file diag.h
 *  Why does it not connect? Tries what a client or gateway needs of the network, one row after the other, and
 *  says what is missing and what mends it: the hosts of the service, the control plane, relays of both
 *  families, relayed data, whether peers get through to us, kind of NAT, packet size, clock, name servers. */
#ifndef FZCONN_DIAG_H
#define FZCONN_DIAG_H

#include "platform.h"
#include "portal.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Most rows of a report. */
#define FZ_CHECKS_MAX 20

/** How a check ended, in order of severity. */
enum fz_check_verdict {
	FZ_CHECK_OK = 0, /**< as it should be */
	FZ_CHECK_SKIPPED = 1, /**< could not be tried, what says why */
	FZ_CHECK_NOTE = 2, /**< not as usual, but nothing that is needed is missing */
	FZ_CHECK_WARN = 3, /**< it works, with less: slower, only relayed, without a part of the service */
	FZ_CHECK_FAIL = 4 /**< it does not work */
};

/** One row. */
struct fz_check {
	const char *name; /**< static text, such as "api.firezone.dev:443" or "clock" */
	enum fz_check_verdict verdict; /**< how it ended */
	uint64_t took_us; /**< how long it took */
	char what[200]; /**< what was found, one line */
	char remedy[200]; /**< what mends it; "" = nothing is to be mended */
};

/** All rows, in the order in which they were tried. */
struct fz_report {
	struct fz_check checks[FZ_CHECKS_MAX]; /**< the rows */
	size_t len; /**< their number */
	enum fz_check_verdict worst; /**< of all rows */
};

/** Zero it, set size, then set what you need; everything is borrowed for the call. */
struct fz_doctor_opts {
	size_t size; /**< sizeof(struct fz_doctor_opts) */
	uint32_t role; /**< enum fz_portal_role; required */
	uint32_t reserved; /**< zero */
	const char *api_url; /**< portal; NULL = "wss://api.firezone.dev/" */
	const char *token; /**< NULL: the control plane is not tried, and relays are those of @ref relays.
			    *   With it the device signs in for a moment, which ends another session that it
			    *   has: leave it out while the program runs */
	const char *id; /**< as in struct fz_client_opts; needed with a token */
	const char *name; /**< likewise */
	const char *user_agent; /**< likewise */
	const struct fz_addr *relays; /**< addresses of relays, when they are known */
	size_t relays_len; /**< their number; at most 8 are tried */
};

/** Try everything; blocks for half a minute at most. Nothing of the system is changed.
 *  @param env       NULL = fz_env_default()
 *  @param platform  a fresh one; its TUN is not needed, its UDP sockets are opened and closed
 *  @retval FZ_ERR_INVAL  an option is missing
 *  @retval FZ_ERR_NOMEM  the report is not complete */
FZ_API FZ_MUST_CHECK int fz_doctor_run(const struct fz_env *env, const struct fz_platform *platform,
				       const struct fz_doctor_opts *opts, struct fz_report *ret);

#ifdef __cplusplus
}
#endif
#endif
