/* SPDX-License-Identifier: Apache-2.0 */
/* Candidate texts: whatever is understood is written again and understood in the same way. */
#include <stdlib.h>
#include <string.h>

#include "wire/cand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool same(const struct cand *a, const struct cand *b)
{
	return a->kind == b->kind && a->priority == b->priority && fz_addr_equal(&a->addr, &b->addr);
}

static void ice(const char *text)
{
	char again[2 * CAND_TEXT_MAX];
	struct cand_extra x, x2;
	struct cand c, c2;
	uint32_t priority;

	if (cand_parse_ice(text, &c, &x) != 0)
		return;
	must(cand_text_priority(text, &priority) == 0 && priority == c.priority);
	must(cand_format_ice(&c, x.ufrag[0] ? x.ufrag : NULL, again, sizeof(again)) > 0);
	must(cand_parse_ice(again, &c2, &x2) == 0);
	must(same(&c, &c2) && strcmp(x.ufrag, x2.ufrag) == 0 && x2.component == 1 && x2.is_udp);
}

static void plain(const char *text)
{
	char again[CAND_TEXT_MAX];
	struct cand c, c2;

	if (cand_parse_plain(text, &c) != 0)
		return;
	must(cand_format_plain(&c, again, sizeof(again)) > 0);
	must(cand_parse_plain(again, &c2) == 0);
	must(same(&c, &c2) && fz_addr_equal(&c.base, &c2.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[CAND_TEXT_MAX];

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	ice(text);
	plain(text);
	must(cand_text_compare(text, text) == 0);
	return 0;
}
