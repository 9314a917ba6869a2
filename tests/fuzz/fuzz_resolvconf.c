/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of resolv.conf: what is read makes sense, and what is written reads back as it was meant. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "platform/linux/resolvconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t v4[4] = { 100, 100, 111, 1 };
	static char out[2 * RESOLVCONF_MAX];
	const char *text = (const char *)data;
	struct resolvconf got, again;
	const struct fz_ip dns = fz_ip_v4(v4);

	if (size > 4096)
		return 0;
	resolvconf_parse(text, size, &got);
	must(got.servers_len <= FZ_DNS_SERVERS_MAX);
	for (size_t i = 0; i < got.servers_len; i++)
		for (size_t j = 0; j < i; j++)
			must(!fz_ip_equal(&got.servers[i], &got.servers[j]));
	int len = resolvconf_print(text, size, &dns, 1, "corp.example", "/b", out, sizeof(out));
	must(len > 0);
	must(resolvconf_is_ours(out, (size_t)len));
	resolvconf_parse(out, (size_t)len, &again);
	must(again.servers_len == 1 && again.bad == 0 && fz_ip_equal(&again.servers[0], &dns));
	must(memchr(out, '\0', (size_t)len) == NULL);
	return 0;
}
