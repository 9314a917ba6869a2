/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/auth.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/opts.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/text.h"
#include "wire/form.h"

_Static_assert(sizeof(struct fz_signin_opts) == offsetof(struct fz_signin_opts, reserved) + sizeof(uint32_t),
	       "no padding at the end");

#define RANDOM_LEN 32
#define HEX_LEN (2 * RANDOM_LEN)
#define FRAGMENT_MAX 4096
#define NAME_MAX_LEN 512
#define BASE_MAX 512
#define SLUG_MAX 100

struct fz_signin {
	const struct fz_env *env;
	bool gui;
	char nonce[HEX_LEN + 1], state[HEX_LEN + 1];
	char *url, *token;
	char actor_name[NAME_MAX_LEN], account_slug[NAME_MAX_LEN];
};

static bool slug_is_good(const char *s)
{
	size_t n = strlen(s);

	return n <= SLUG_MAX &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* Scheme, host, and at most a path: what follows is ours. */
static bool base_is_good(const char *s)
{
	const char *host = strncmp(s, "https://", 8) == 0  ? s + 8
			   : strncmp(s, "http://", 7) == 0 ? s + 7
							   : NULL;

	if (host == NULL || *host == '\0' || *host == '/' || strlen(s) > BASE_MAX)
		return false;
	for (const char *p = host; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#@\"<>\\^`{|}", *p))
			return false;
	return true;
}

static void random_hex(const struct fz_env *env, char ret[HEX_LEN + 1])
{
	uint8_t bytes[RANDOM_LEN];

	fz_rng_fill(env, bytes, sizeof(bytes));
	fz_hex_encode(ret, bytes, sizeof(bytes));
	fz_wipe(bytes, sizeof(bytes));
}

static char *build_url(struct fz_signin *s, const char *base, const char *slug)
{
	size_t len = strlen(base), cap = len + strlen(slug) + 2 * HEX_LEN + 64;
	char *url = fz_realloc(s->env, NULL, cap);

	if (url == NULL)
		return NULL;
	while (len && base[len - 1] == '/')
		len--;
	if (s->gui)
		snprintf(url, cap, "%.*s/%s?as=gui-client&nonce=%s&state=%s", (int)len, base, slug, s->nonce,
			 s->state);
	else
		snprintf(url, cap, "%.*s/%s?as=headless-client", (int)len, base, slug);
	return url;
}

int fz_signin_new(const struct fz_env *env, const struct fz_signin_opts *opts, struct fz_signin **ret)
{
	struct fz_signin_opts o = { 0 };
	struct fz_signin *s;
	int err = opts ? fz_opts_import(&o, sizeof(o), opts, opts->size) : 0;

	if (err)
		return err;
	const char *base = o.base_url ? o.base_url : "https://app.firezone.dev";
	const char *slug = o.account_slug ? o.account_slug : "";
	if (o.kind > FZ_SIGNIN_HEADLESS || o.reserved || !base_is_good(base) || !slug_is_good(slug))
		return FZ_ERR_INVAL;
	if (env == NULL)
		env = fz_env_default();
	s = fz_zalloc(env, sizeof(*s));
	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->env = env;
	s->gui = o.kind != FZ_SIGNIN_HEADLESS;
	if (s->gui) {
		random_hex(env, s->nonce);
		random_hex(env, s->state);
	}
	s->url = build_url(s, base, slug);
	if (s->url == NULL) {
		fz_signin_free(s);
		return FZ_ERR_NOMEM;
	}
	*ret = s;
	return 0;
}

void fz_signin_free(struct fz_signin *s)
{
	const struct fz_env *env;

	if (s == NULL)
		return;
	env = s->env;
	fz_free_secret(env, s->url);
	fz_free_secret(env, s->token);
	fz_wipe(s, sizeof(*s));
	fz_free(env, s);
}

const char *fz_signin_url(const struct fz_signin *s)
{
	return s->url;
}

/* The query of a callback URL, NULL when it is none. Scheme and host in any letter case, as URLs have it. */
static const char *callback_query(const char *url)
{
	static const char head[] = "firezone-fd0020211111://handle_client_sign_in_callback";

	for (const char *p = head; *p; p++, url++)
		if ((*url >= 'A' && *url <= 'Z' ? *url + 32 : *url) != *p)
			return NULL;
	if (*url == '/')
		url++;
	return *url == '?' ? url + 1 : NULL;
}

int fz_signin_handle_callback(struct fz_signin *s, const char *url)
{
	char fragment[FRAGMENT_MAX], state[HEX_LEN + 1], actor[NAME_MAX_LEN], slug[NAME_MAX_LEN], *token;
	const char *query = callback_query(url);
	int err = 0;

	if (!s->gui || s->token)
		return FZ_ERR_STATE;
	if (query == NULL || !form_value(query, "fragment", fragment, sizeof(fragment)) ||
	    fragment[0] == '\0' || !form_value(query, "actor_name", actor, sizeof(actor)) ||
	    !form_value(query, "account_slug", slug, sizeof(slug)) ||
	    !form_value(query, "state", state, sizeof(state)) || strlen(state) != HEX_LEN)
		err = FZ_ERR_WIRE;
	else if (!fz_secret_eq(state, s->state, HEX_LEN))
		err = FZ_ERR_AUTH;
	if (err == 0) {
		token = fz_zalloc(s->env, HEX_LEN + strlen(fragment) + 1);
		if (token) {
			memcpy(token, s->nonce, HEX_LEN);
			strcpy(token + HEX_LEN, fragment);
			strcpy(s->actor_name, actor);
			strcpy(s->account_slug, slug);
		}
		s->token = token;
		err = token ? 0 : FZ_ERR_NOMEM;
	}
	fz_wipe(fragment, sizeof(fragment));
	return err;
}

int fz_signin_handle_pasted(struct fz_signin *s, const char *text)
{
	static const char blanks[] = " \t\r\n";
	size_t len;

	if (s->gui || s->token)
		return FZ_ERR_STATE;
	text += strspn(text, blanks);
	len = strlen(text);
	while (len && strchr(blanks, text[len - 1]))
		len--;
	if (len == 0 || len >= FRAGMENT_MAX)
		return FZ_ERR_WIRE;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return FZ_ERR_WIRE;
	s->token = fz_zalloc(s->env, len + 1);
	if (s->token == NULL)
		return FZ_ERR_NOMEM;
	memcpy(s->token, text, len);
	return 0;
}

const char *fz_signin_token(const struct fz_signin *s)
{
	return s->token;
}

const char *fz_signin_actor_name(const struct fz_signin *s)
{
	return s->actor_name[0] ? s->actor_name : NULL;
}

const char *fz_signin_account_slug(const struct fz_signin *s)
{
	return s->account_slug[0] ? s->account_slug : NULL;
}
