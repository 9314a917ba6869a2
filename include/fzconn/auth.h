/* SPDX-License-Identifier: Apache-2.0 */
/** @file auth.h
 *  Sign-in of a user in the browser: the address to open, the check of what comes back, the token.
 *
 *  A program with a URL scheme of its own (kind GUI): open fz_signin_url() in the browser; the sign-in page
 * ends with a redirect to a "firezone-fd0020211111:" URL, which the desktop hands to the program registered
 * for that scheme; give it to fz_signin_handle_callback(). Only the sign-in that this object began is
 * accepted.
 *
 *  A program without one (kind headless): show fz_signin_url() to the user; the page ends with a token to
 * copy; give what the user pastes to fz_signin_handle_pasted().
 *
 *  No socket, no file: store the token where only its owner can read it (mode 0600). It stays good until it
 * expires or an administrator deletes it; there is no call for signing out. */
#ifndef FZCONN_AUTH_H
#define FZCONN_AUTH_H

#include "env.h"
#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One sign-in. It belongs to one thread at a time. */
struct fz_signin;

/** How the token comes back. */
enum fz_signin_kind { FZ_SIGNIN_GUI = 1, FZ_SIGNIN_HEADLESS = 2 };

/** Zero it, set size, then set what you need; texts are copied. */
struct fz_signin_opts {
	size_t size; /**< sizeof(struct fz_signin_opts) */
	const char *base_url; /**< https or http, without a query; NULL = "https://app.firezone.dev" */
	const char *account_slug; /**< letters, digits, '_' and '-'; NULL = the page asks for the account */
	uint32_t kind; /**< enum fz_signin_kind; 0 = GUI */
	uint32_t reserved; /**< zero */
};

/** Begin a sign-in. For the GUI kind 64 random bytes are drawn: they tie the answer to this object.
 * @param env   borrowed until fz_signin_free(); NULL = fz_env_default()
 * @param opts  copied; NULL = all defaults
 * @param[out] ret  owned by the caller
 * @retval FZ_ERR_INVAL  an option does not parse  @retval FZ_ERR_ABI  opts come from a newer header and ask
 * for something unknown here  @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_signin_new(const struct fz_env *env, const struct fz_signin_opts *opts,
				       struct fz_signin **ret);
/** Wipe and free. NULL is fine. */
FZ_API void fz_signin_free(struct fz_signin *s);
/** The address to open; valid as long as the object. It holds half of the secret: do not log it. */
FZ_API const char *fz_signin_url(const struct fz_signin *s);

/** GUI: what the URL handler of the desktop received.
 *  @retval FZ_ERR_WIRE  no such callback, or a part of it is missing, twice or malformed: ignore it, the
 * right one may come
 *  @retval FZ_ERR_AUTH  it belongs to another sign-in: somebody may be playing tricks; begin anew
 *  @retval FZ_ERR_STATE the sign-in is of the other kind, or done
 *  @retval FZ_ERR_NOMEM nothing changed */
FZ_API FZ_MUST_CHECK int fz_signin_handle_callback(struct fz_signin *s, const char *url);
/** Headless: what the user pasted; blanks and line ends around it do not count.
 *  @retval FZ_ERR_WIRE  that is no token  @retval FZ_ERR_STATE  as above  @retval FZ_ERR_NOMEM  nothing
 * changed */
FZ_API FZ_MUST_CHECK int fz_signin_handle_pasted(struct fz_signin *s, const char *text);

/** The token for fz_client_opts.token; a secret, wiped with the object. NULL before it is there. */
FZ_API const char *fz_signin_token(const struct fz_signin *s);
/** Who signed in, for display; NULL when not known (headless, or not yet). */
FZ_API const char *fz_signin_actor_name(const struct fz_signin *s);
/** The account's short name, good as fz_signin_opts.account_slug next time; NULL when not known. */
FZ_API const char *fz_signin_account_slug(const struct fz_signin *s);

#ifdef __cplusplus
}
#endif
#endif
