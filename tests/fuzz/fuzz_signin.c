/* SPDX-License-Identifier: Apache-2.0 */
/* Callback URLs of a sign-in, and forms in general. The random bytes are zeros, so that a corpus can hold the
 * state. */
#include <stdlib.h>
#include <string.h>

#include "fzconn/auth.h"
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void zeros(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0, len);
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fz_env env = *fz_env_default();
	struct fz_signin *s;
	char value[50], *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	env.rng.fill = zeros;
	must(fz_signin_new(&env, NULL, &s) == 0);
	int err = fz_signin_handle_callback(s, text);
	must((err == 0) == (fz_signin_token(s) != NULL));
	if (err == 0)
		must(strlen(fz_signin_token(s)) > 64);
	fz_signin_free(s);
	if (form_value(text, "a", value, sizeof(value)))
		must(strlen(value) < sizeof(value));
	free(text);
	return 0;
}
