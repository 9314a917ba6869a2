/* SPDX-License-Identifier: Apache-2.0 */
/** @file error.h
 *  One negative enum for all functions; 0 is success. The value tells the caller what to do next. */
#ifndef FZCONN_ERROR_H
#define FZCONN_ERROR_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What went wrong. Values at or below ::FZ_ERR_DEAD mean that the object can only be freed. */
enum fz_err {
	FZ_ERR_INVAL = -1, /**< the caller broke a documented rule */
	FZ_ERR_NOMEM = -2, /**< nothing changed; may be tried again */
	FZ_ERR_ABI = -3, /**< option struct asks for what this build does not know */
	FZ_ERR_NOSPACE = -4, /**< the caller's buffer is too small; nothing lost */
	FZ_ERR_NOT_MINE = -5, /**< well-formed, for someone else: offer it elsewhere */
	FZ_ERR_WIRE = -6, /**< malformed input: count, drop, go on */
	FZ_ERR_AUTH = -7, /**< tag, MAC or replay check failed: likewise, own counter */
	FZ_ERR_FULL = -8, /**< a documented maximum is reached; the input was dropped */
	FZ_ERR_STATE = -9, /**< not possible now (not connected, no session yet): try later */
	FZ_ERR_AGAIN = -10, /**< the system would block: wait for readiness and repeat */
	FZ_ERR_IO = -11, /**< the system refused an operation; the log says which and why */
	FZ_ERR_PERM = -12, /**< the process lacks a privilege; the log names it */
	FZ_ERR_UNSUPPORTED = -13, /**< this platform or build cannot do it */
	FZ_ERR_NOT_FOUND = -14, /**< no such device, name or entry */
	FZ_ERR_CRYPTO = -15, /**< the crypto library failed */
	FZ_ERR_DEAD = -100, /**< this and everything below: the object is finished, free it */
	FZ_ERR_TOKEN = -101, /**< the portal refused the token: sign in again */
	FZ_ERR_PORTAL =
		-102, /**< the portal refused the connection for good, or the retry budget is used up */
	FZ_ERR_TIMEOUT = -103 /**< the other side did not answer in time */
};

/** Text for an error code, for logs and messages; never NULL, static storage.
 *  0 gives "success", unknown codes give "unknown error". */
FZ_API const char *fz_strerror(int err);

#ifdef __cplusplus
}
#endif
#endif
