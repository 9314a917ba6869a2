/* SPDX-License-Identifier: Apache-2.0 */
/** @file run.h
 *  A client or gateway bound to a platform: opens TUN and sockets, moves packets, configures the interface.
 * For a program with an event loop of its own: watch fz_run_fd(), sleep at most fz_run_timeout_us(), call
 * fz_run_dispatch(). For others: fz_run_run(). No thread is started. */
#ifndef FZCONN_RUN_H
#define FZCONN_RUN_H

#include "client.h"
#include "gateway.h"
#include "platform.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The binding. */
struct fz_run;

/** Zero it, set size, then set what you need. */
struct fz_run_opts {
	size_t size; /**< sizeof(struct fz_run_opts) */
	struct fz_tun_opts tun; /**< tun.size = 0: all defaults */
	uint16_t udp_port; /**< 0 = ::FZ_UDP_PORT */
	bool no_watch; /**< do not reset by itself when the network changes */
	bool no_forward; /**< gateway: leave forwarding and masquerading to the administrator */
	const char *flow_dir; /**< folder (absolute path) where reports of flows wait until the portal has
			       *   them; made when it is needed. Used only while the portal wants reports.
			       *   NULL = none are kept. Borrowed for the call. */
};

/** Bind a client: opens the TUN device and the UDP sockets now.
 * @param env, platform, client  borrowed until fz_run_free()
 * @param opts  copied; NULL = all defaults
 * @retval FZ_ERR_PERM       lacks a privilege (CAP_NET_ADMIN); the log says for what
 * @retval FZ_ERR_NOT_FOUND  there is no TUN device on this system
 * @retval FZ_ERR_STATE      the interface exists already: another instance runs
 * @retval FZ_ERR_INVAL      flow_dir is no absolute path, or too long
 * @retval FZ_ERR_IO         the system refused something else; the log says what */
FZ_API FZ_MUST_CHECK int fz_run_client_new(const struct fz_env *env, struct fz_client *client,
					   const struct fz_platform *platform, const struct fz_run_opts *opts,
					   struct fz_run **ret);
/** Bind a gateway; as fz_run_client_new(). */
FZ_API FZ_MUST_CHECK int fz_run_gateway_new(const struct fz_env *env, struct fz_gateway *gateway,
					    const struct fz_platform *platform,
					    const struct fz_run_opts *opts, struct fz_run **ret);
/** Close TUN, sockets and stream, and undo the interface configuration. NULL is fine. */
FZ_API void fz_run_free(struct fz_run *r);

/** Descriptor that is readable when fz_run_dispatch() has something to do; -1 = this platform has none. */
FZ_API int fz_run_fd(const struct fz_run *r);
/** How long the program may sleep, µs from now; -1 = until fz_run_fd() is readable. */
FZ_API int64_t fz_run_timeout_us(const struct fz_run *r);
/** Do everything that is due, without blocking.
 *  @retval 0  go on  @retval <=FZ_ERR_DEAD  finished; FZ_EVENT_DEAD says why  @retval FZ_ERR_IO  the TUN
 * device is gone and cannot be made again */
FZ_API FZ_MUST_CHECK int fz_run_dispatch(struct fz_run *r);
/** Next event that concerns the program; false = none. Call it after every other function here until it is
 *  empty: waiting events shorten no sleep, and the oldest of more than 256 are lost. */
FZ_API bool fz_run_poll_event(struct fz_run *r, struct fz_event *ret);

/** Work until there is an event to poll, fz_run_wake() was called or a signal was caught: 1. Errors as
 * fz_run_dispatch(). */
FZ_API FZ_MUST_CHECK int fz_run_run(struct fz_run *r);
/** Make the fz_run_run() under way return 1, or the next one if none is. May be called from a signal handler
 * or another thread while @p r lives. A handler that sets a flag and calls this loses no signal: one that
 * arrives between a look at the flag and fz_run_run() ends that call at once. */
FZ_API void fz_run_wake(struct fz_run *r);
/** The network changed or SIGHUP: a client resets, a gateway connects to the portal again. */
FZ_API void fz_run_reset(struct fz_run *r);
/** Connect to the portal again, with the token of fz_client_set_token() or fz_gateway_set_token(); peers stay
 * connected. */
FZ_API void fz_run_reconnect(struct fz_run *r);
/** Say goodbye to peers and portal; waits at most @p timeout_ms for the last bytes to leave. */
FZ_API void fz_run_shutdown(struct fz_run *r, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
