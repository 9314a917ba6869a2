/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <ctype.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t unit_hex(uint8_t *dst, size_t cap, const char *text)
{
	size_t n = 0;

	for (;;) {
		while (isspace((unsigned char)*text))
			text++;
		if (*text == '\0')
			return n;
		ck_assert_msg(digit(text[0]) >= 0 && digit(text[1]) >= 0, "bad hex at \"%.8s\"", text);
		ck_assert_uint_lt(n, cap);
		dst[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
		text += 2;
	}
}

void unit_assert_hex(const void *got, size_t len, const char *want)
{
	static uint8_t buf[70000];
	size_t n = unit_hex(buf, sizeof(buf), want);

	ck_assert_uint_eq(len, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(((const uint8_t *)got)[i] == buf[i], "byte %zu is %02x, expected %02x", i,
			      ((const uint8_t *)got)[i], buf[i]);
}

static void *count_alloc(void *ctx, size_t len)
{
	struct unit_env *u = ctx;

	if (++u->allocs == u->fail_at)
		return NULL;
	u->blocks++;
	return malloc(len);
}

static void *count_realloc(void *ctx, void *p, size_t len)
{
	struct unit_env *u = ctx;

	if (++u->allocs == u->fail_at)
		return NULL;
	if (p == NULL)
		u->blocks++;
	return realloc(p, len);
}

static void count_free(void *ctx, void *p)
{
	struct unit_env *u = ctx;

	if (p != NULL)
		u->blocks--;
	free(p);
}

/* splitmix64: good enough to look random, and equal for equal seeds. */
static void seeded_fill(void *ctx, void *buf, size_t len)
{
	struct unit_env *u = ctx;
	uint8_t *b = buf;

	while (len--) {
		uint64_t z = u->state += 0x9e3779b97f4a7c15u;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		*b++ = (uint8_t)(z ^ z >> 31);
	}
}

void unit_env_init(struct unit_env *u, uint64_t seed)
{
	*u = (struct unit_env){ .state = seed };
	u->env.mem = (struct fz_mem){ count_alloc, count_realloc, count_free, u };
	u->env.rng = (struct fz_rng){ seeded_fill, u };
}

void unit_env_check(const struct unit_env *u)
{
	ck_assert_int_eq(u->blocks, 0);
}

int main(void)
{
	SRunner *runner = srunner_create(unit_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
