/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "rig_ask.h"

static uint64_t asked;

size_t rig_query(uint8_t *buf, size_t cap)
{
	struct fz_dns_query q;
	struct fz_addr silent;

	ck_assert_int_eq(fz_addr_parse(RIG_NO_DNS, &silent), 0);
	if (!fz_memnet_query_take(&rig.a, &q) || fz_addr_equal(&q.server, &silent))
		return 0;
	ck_assert_uint_le(q.len, cap);
	memcpy(buf, q.data, q.len);
	asked = q.id;
	return q.len;
}

void rig_answer(const uint8_t *m, size_t len)
{
	const struct fz_dns_answer a = { .id = asked, .data = m, .len = len };

	ck_assert_int_eq(fz_memnet_answer_put(&rig.a, &a), 0);
}

bool rig_request(bool tcp, const uint8_t *m, size_t len)
{
	const struct fz_dns_request r = { .data = m,
					  .len = len,
					  .tcp = tcp,
					  .local = { .ip = rig.a4, .port = RIG_LISTEN_PORT },
					  .peer = { .ip = rig.b4, .port = 1234 } };
	uint64_t id;
	int err = fz_memnet_request_put(&rig.a, &r, &id);

	ck_assert(err == 0 || err == FZ_ERR_NOT_FOUND);
	return err == 0;
}

size_t rig_reply(uint8_t *buf, size_t cap)
{
	const uint8_t *data;
	uint64_t id;
	size_t len;

	if (!fz_memnet_reply_take(&rig.a, &id, &data, &len))
		return 0;
	ck_assert_uint_le(len, cap);
	memcpy(buf, data, len);
	return len;
}

void rig_ask_step(void)
{
	const struct fz_ip loopback = { .family = FZ_FAMILY_INET, .b = { 127, 0, 0, 1 } };
	struct fz_http_request q;
	const char *name;
	uint64_t id;

	while (fz_memnet_resolve_take(&rig.a, &id, &name)) {
		const struct fz_resolved r = { .id = id, .addrs = &loopback, .len = 1 };
		ck_assert_str_eq(name, "localhost");
		ck_assert_int_eq(fz_memnet_resolved_put(&rig.a, &r), 0);
	}
	while (fz_memnet_http_take(&rig.a, &q)) {
		const struct fz_http_result r = { .id = q.id,
						  .status = 200,
						  .retry_after_s = 7,
						  .content_type = "text/plain",
						  .body = q.body,
						  .body_len = q.body_len };
		ck_assert_int_eq(fz_memnet_http_put(&rig.a, &r), 0);
	}
}

void rig_ask_close(void)
{
}
