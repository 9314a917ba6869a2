/* SPDX-License-Identifier: Apache-2.0 */
/* Phoenix envelopes: whatever is understood is written again and understood in the same way. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/phx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fz_env *env = fz_env_default();
	struct phx_msg m = { 0 }, again = { 0 };
	struct phx_reply r;
	const char *reason = NULL;
	char *text;
	size_t len;

	if (phx_decode((const char *)data, size, &m, &reason) != 0) {
		must(reason != NULL && m.root == NULL);
		return 0;
	}
	if (phx_reply_decode(&m, &r, &reason) == 0)
		must(r.status == PHX_OK || r.reason != NULL);
	must(phx_encode(env, m.topic, m.event, m.payload, m.ref, &text, &len) == 0);
	must(phx_decode(text, len, &again, &reason) == 0);
	must(strcmp(m.topic, again.topic) == 0 && strcmp(m.event, again.event) == 0 && m.ref == again.ref);
	must(jv_type(m.payload) == jv_type(again.payload));
	phx_msg_clear(&again);
	phx_msg_clear(&m);
	fz_free(env, text);
	return 0;
}
