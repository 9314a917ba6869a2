/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test needs: Check, hex literals, a seeded environment, a main(). */
#ifndef UNIT_H
#define UNIT_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fzconn/env.h"
#include "fzconn/error.h"

/* Implemented by each test program: its cases. */
Suite *unit_suite(void);

/* Decode hex, blanks and line ends ignored; returns the length. Fails the test on bad digits or lack of room.
 */
size_t unit_hex(uint8_t *dst, size_t cap, const char *text);
/* Fail unless the bytes equal the hex text; shows both. */
void unit_assert_hex(const void *got, size_t len, const char *want);

/* An environment with a seeded generator (equal seeds, equal bytes) and an allocator that can be told to
 * fail. Release with unit_env_check(), which also fails the test when blocks are left. */
struct unit_env {
	struct fz_env env;
	uint64_t state; /* of the generator */
	long fail_at; /* this allocation (from 1) fails; 0 = none */
	long allocs, blocks; /* done so far; alive now */
};
void unit_env_init(struct unit_env *u, uint64_t seed);
void unit_env_check(const struct unit_env *u);

#define unit_case(suite, name, ...)                                                                          \
	do {                                                                                                 \
		TCase *tc_ = tcase_create(name);                                                             \
		const TTest *tests_[] = { __VA_ARGS__ };                                                     \
		tcase_set_timeout(tc_, 60);                                                                  \
		for (size_t i_ = 0; i_ < sizeof(tests_) / sizeof(tests_[0]); i_++)                           \
			tcase_add_test(tc_, tests_[i_]);                                                     \
		suite_add_tcase(suite, tc_);                                                                 \
	} while (0)

#endif
