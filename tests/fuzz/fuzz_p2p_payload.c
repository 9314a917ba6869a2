/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: whatever is understood is written again and understood in the same way. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "fzconn/error.h"
#include "wire/p2p_payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void assigned_ips(const uint8_t *data, size_t size)
{
	struct p2p_assigned_ips m, again;
	uint8_t buf[P2P_PAYLOAD_MAX];
	int len;

	if (p2p_parse_assigned_ips(data, size, &m) != 0)
		return;
	len = p2p_build_assigned_ips(fz_env_default(), &m, buf);
	if (len == FZ_ERR_NOSPACE)
		return;
	must(len > 0 && p2p_parse_assigned_ips(buf, (size_t)len, &again) == 0);
	must(strcmp(m.domain, again.domain) == 0 && m.ips_len == again.ips_len);
	must(m.ips_len <= P2P_PROXIES_MAX && fz_uuid_equal(&m.resource, &again.resource));
	for (size_t i = 0; i < m.ips_len; i++)
		must(fz_ip_equal(&m.ips[i], &again.ips[i]));
}

static void domain_status(const uint8_t *data, size_t size)
{
	struct p2p_domain_status m, again;
	uint8_t buf[P2P_PAYLOAD_MAX];
	int len;

	if (p2p_parse_domain_status(data, size, &m) != 0)
		return;
	len = p2p_build_domain_status(fz_env_default(), &m, buf);
	if (len == FZ_ERR_NOSPACE)
		return;
	must(len > 0 && p2p_parse_domain_status(buf, (size_t)len, &again) == 0);
	must(strcmp(m.domain, again.domain) == 0 && m.active == again.active);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	assigned_ips(data, size);
	domain_status(data, size);
	return 0;
}
