/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to the upgrade request: head and body, in pieces whose length the first byte gives. */
#include <stdlib.h>
#include <string.h>

#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char head[HTTP_HEAD_MAX + 1], body[1000];
	struct http_head h;
	struct http_body b;
	size_t step, at, body_len = 0;
	uint64_t s;
	int end;

	if (size < 2)
		return 0;
	step = 1u + data[0];
	data++;
	size--;
	end = http_head_find(data, size);
	if (end <= 0)
		return 0;
	must((size_t)end <= size && end <= HTTP_HEAD_MAX && data[end - 1] == '\n');
	memcpy(head, data, (size_t)end);
	if (http_head_decode(head, (size_t)end, &h) != 0)
		return 0;
	for (size_t i = 0; i < h.fields_len; i++)
		must(h.fields[i].name >= head && h.fields[i].value + strlen(h.fields[i].value) < head + end);
	if (http_retry_after(&h, &s))
		must(http_field(&h, "retry-after") != NULL);
	http_media_type_is(http_field(&h, "content-type"), "application/problem+json");
	if (http_body_init(&h, &b) != 0)
		return 0;
	for (at = (size_t)end; at < size && !b.done;) {
		size_t n = size - at < step ? size - at : step;
		int got = http_body_handle(&b, data + at, n, body, &body_len, sizeof(body));
		if (got < 0)
			return 0;
		must((size_t)got <= n && (b.done || (size_t)got == n));
		at += (size_t)got;
		must(body_len <= sizeof(body));
	}
	return 0;
}
