/* SPDX-License-Identifier: Apache-2.0 */
/* What the uploader reads from a spool: the name of a file, up to the first NUL or line end, then its
 * content. Whatever is understood is written again and understood in the same way. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "flow/report.h"
#include "fzconn/error.h"
#include "wire/ingest_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void name(const char *text)
{
	struct flow_report_name n, again;
	char buf[FLOW_REPORT_NAME_LEN];

	if (!flow_report_name_parse(text, &n))
		return;
	must(flow_report_name_parse(flow_report_name_format(&n, buf), &again));
	must(flow_report_name_compare(&n, &again) == 0);
}

static void content(const char *text, size_t len)
{
	const struct fz_env *env = fz_env_default();
	struct jv *record;
	char *first, *file, *second;
	size_t first_len, file_len, second_len;

	if (flow_report_decode(env, text, len, &first, &first_len) != 0)
		return;
	must(jv_parse(first, first_len, &record) == JV_OK);
	file = flow_report_encode(env, record, &file_len);
	must(file != NULL);
	must(flow_report_decode(env, file, file_len, &second, &second_len) == 0);
	must(first_len == second_len && memcmp(first, second, first_len) == 0);
	fz_free(env, second);
	fz_free(env, file);
	fz_free(env, first);
	jv_free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ingest_token t;
	char *text = malloc(size + 1);
	size_t head;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	head = strcspn(text, "\n");
	content(text, size);
	if (head < size)
		content(text + head + 1, size - head - 1);
	(void)ingest_token_check(fz_env_default(), text, &t);
	text[head] = '\0';
	name(text);
	free(text);
	return 0;
}
