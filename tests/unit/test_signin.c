/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "fzconn/auth.h"
#include "wire/form.h"

static const struct fz_signin_opts gui = { .size = sizeof(struct fz_signin_opts), .account_slug = "acme" };
static const struct fz_signin_opts headless = { .size = sizeof(struct fz_signin_opts),
						.base_url = "https://app.firez.one/",
						.kind = FZ_SIGNIN_HEADLESS };

static const char *value_of(const char *url, const char *name)
{
	const char *at = strstr(url, name);

	ck_assert_ptr_nonnull(at);
	return at + strlen(name);
}

/* $ = the state of the sign-in. */
static const struct {
	const char *why, *url;
	int want;
} callbacks[] = {
	{ "as documented",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_name=Acme+Inc&account_slug=acme&actor_name=Ada%20L&"
	  "fragment=.SFMyNTY.a-b_%2Bc&identity_provider_identifier=x&state=$",
	  0 },
	{ "with a slash",
	  "firezone-fd0020211111://handle_client_sign_in_callback/"
	  "?account_slug=a&actor_name=b&fragment=.c&state=$",
	  0 },
	{ "empty names",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=&actor_name=&fragment=.c&state=$",
	  0 },
	{ "letter case",
	  "Firezone-FD0020211111://"
	  "Handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&state=$",
	  0 },
	{ "other state",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&state="
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  FZ_ERR_AUTH },
	{ "short state",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&state=00",
	  FZ_ERR_WIRE },
	{ "no state",
	  "firezone-fd0020211111://handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c",
	  FZ_ERR_WIRE },
	{ "state twice",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&state=$&state=$",
	  FZ_ERR_WIRE },
	{ "fragment twice",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&fragment=.d&state=$",
	  FZ_ERR_WIRE },
	{ "empty fragment",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=&state=$",
	  FZ_ERR_WIRE },
	{ "no actor",
	  "firezone-fd0020211111://handle_client_sign_in_callback?account_slug=a&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "no slug",
	  "firezone-fd0020211111://handle_client_sign_in_callback?actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "broken escape",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=%4&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "NUL",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?account_slug=a&actor_name=%00&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "other host",
	  "firezone-fd0020211111://handle_client_sign_out?account_slug=a&actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "other path",
	  "firezone-fd0020211111://handle_client_sign_in_callback/"
	  "x?account_slug=a&actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "longer host",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback.x?account_slug=a&actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "other scheme",
	  "https://handle_client_sign_in_callback?account_slug=a&actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "in the anchor",
	  "firezone-fd0020211111://"
	  "handle_client_sign_in_callback?a#account_slug=a&actor_name=b&fragment=.c&state=$",
	  FZ_ERR_WIRE },
	{ "no query", "firezone-fd0020211111://handle_client_sign_in_callback", FZ_ERR_WIRE },
	{ "nothing", "", FZ_ERR_WIRE },
};

START_TEST(callback_table)
{
	for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
		struct unit_env u;
		struct fz_signin *s;
		char url[1000];
		size_t n = 0;
		unit_env_init(&u, i);
		ck_assert_int_eq(fz_signin_new(&u.env, &gui, &s), 0);
		const char *state = value_of(fz_signin_url(s), "&state="),
			   *nonce = value_of(fz_signin_url(s), "&nonce=");
		for (const char *p = callbacks[i].url; *p; p++)
			n += (size_t)snprintf(url + n, sizeof(url) - n, *p == '$' ? "%.64s" : "%.1s",
					      *p == '$' ? state : p);
		url[n] = '\0';
		int err = fz_signin_handle_callback(s, url);
		ck_assert_msg(err == callbacks[i].want, "%s: %d", callbacks[i].why, err);
		ck_assert_int_eq(fz_signin_token(s) != NULL, err == 0);
		if (err == 0) {
			ck_assert_int_eq(memcmp(fz_signin_token(s), nonce, 64), 0);
			ck_assert_int_eq(fz_signin_token(s)[64], '.');
			ck_assert_int_eq(fz_signin_handle_callback(s, url), FZ_ERR_STATE);
		}
		if (i == 0) {
			ck_assert_str_eq(fz_signin_token(s) + 64, ".SFMyNTY.a-b_+c");
			ck_assert_str_eq(fz_signin_actor_name(s), "Ada L");
			ck_assert_str_eq(fz_signin_account_slug(s), "acme");
		}
		fz_signin_free(s);
		unit_env_check(&u);
	}
}
END_TEST

START_TEST(urls)
{
	struct unit_env u;
	struct fz_signin *s, *other;
	struct fz_signin_opts o = gui;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_signin_new(&u.env, &gui, &s), 0);
	ck_assert_int_eq(strncmp(fz_signin_url(s), "https://app.firezone.dev/acme?as=gui-client&nonce=", 50),
			 0);
	ck_assert_uint_eq(strlen(fz_signin_url(s)), 50 + 64 + 7 + 64);
	ck_assert_int_ne(
		memcmp(value_of(fz_signin_url(s), "&nonce="), value_of(fz_signin_url(s), "&state="), 64), 0);
	ck_assert_int_eq(fz_signin_handle_pasted(s, ".x"), FZ_ERR_STATE);
	ck_assert_int_eq(fz_signin_new(&u.env, NULL, &other), 0);
	ck_assert_int_eq(strncmp(fz_signin_url(other), "https://app.firezone.dev/?as=gui-client&nonce=", 46),
			 0);
	ck_assert_str_ne(value_of(fz_signin_url(s), "&state="), value_of(fz_signin_url(other), "&state="));
	fz_signin_free(other);
	fz_signin_free(s);
	fz_signin_free(NULL);
	static const char *const bad[] = { "app.firezone.dev", "https://",    "https:///x",  "https://h?x",
					   "https://h#x",      "https://a@h", "https://h h", "ftp://h" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.base_url = bad[i];
		ck_assert_msg(fz_signin_new(&u.env, &o, &s) == FZ_ERR_INVAL, "%s", bad[i]);
	}
	o = gui, o.account_slug = "a/b";
	ck_assert_int_eq(fz_signin_new(&u.env, &o, &s), FZ_ERR_INVAL);
	o = gui, o.kind = 3;
	ck_assert_int_eq(fz_signin_new(&u.env, &o, &s), FZ_ERR_INVAL);
	o = gui, o.size = 1;
	ck_assert_int_eq(fz_signin_new(&u.env, &o, &s), FZ_ERR_ABI);
	unit_env_check(&u);
}
END_TEST

START_TEST(pasted)
{
	struct unit_env u;
	struct fz_signin *s;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_signin_new(&u.env, &headless, &s), 0);
	ck_assert_str_eq(fz_signin_url(s), "https://app.firez.one/?as=headless-client");
	ck_assert_int_eq(fz_signin_handle_callback(s, callbacks[0].url), FZ_ERR_STATE);
	ck_assert_int_eq(fz_signin_handle_pasted(s, " \n"), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_signin_handle_pasted(s, "two words"), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_signin_handle_pasted(s, "\xc3\xa9"), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_signin_handle_pasted(s, "\n .SFMyNTY.x\r\n"), 0);
	ck_assert_str_eq(fz_signin_token(s), ".SFMyNTY.x");
	ck_assert_ptr_null(fz_signin_actor_name(s));
	ck_assert_int_eq(fz_signin_handle_pasted(s, ".y"), FZ_ERR_STATE);
	fz_signin_free(s);
	unit_env_check(&u);
}
END_TEST

START_TEST(forms)
{
	char v[4];

	ck_assert(form_value("a=1&b=2+", "b", v, sizeof(v)));
	ck_assert_str_eq(v, "2 ");
	ck_assert(!form_value("ab=1", "a", v, sizeof(v)));
	ck_assert(!form_value("a", "a", v, sizeof(v)));
	ck_assert(form_value("&&a=", "a", v, sizeof(v)));
	ck_assert_str_eq(v, "");
	ck_assert(form_value("a=123", "a", v, sizeof(v)));
	ck_assert(!form_value("a=1234", "a", v, sizeof(v)));
	ck_assert(!form_value("", "a", v, sizeof(v)));
}
END_TEST

START_TEST(failing_allocations)
{
	for (long at = 1; at < 6; at++) {
		struct unit_env u;
		struct fz_signin *s = NULL;
		unit_env_init(&u, 1);
		u.fail_at = at;
		int err = fz_signin_new(&u.env, &headless, &s);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		if (err == 0) {
			err = fz_signin_handle_pasted(s, ".x");
			ck_assert(err == 0 || err == FZ_ERR_NOMEM);
			ck_assert_int_eq(err == 0, fz_signin_token(s) != NULL);
		}
		fz_signin_free(s);
		unit_env_check(&u);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("signin");

	unit_case(s, "signin", callback_table, urls, pasted, forms, failing_allocations);
	return s;
}
