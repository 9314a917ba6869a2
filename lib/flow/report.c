/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/crc32.h"
#include "base/mem.h"
#include "base/text.h"
#include "fzconn/error.h"

#define START_SUFFIX ".start.json"
#define END_SUFFIX ".end.json"
#define STEM_DIGITS 16
#define SECONDS_DIGITS 10

/* FNV-1a. */
static uint64_t hash_add(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3u;
	return h;
}

static uint64_t hash_addr(uint64_t h, const struct fz_addr *a)
{
	uint8_t port[2] = { (uint8_t)(a->port >> 8), (uint8_t)a->port };

	h = hash_add(h, a->ip.b, fz_ip_len(&a->ip));
	return hash_add(h, port, sizeof(port));
}

void flow_report_name_of(const struct flow_record *r, struct flow_report_name *ret)
{
	uint64_t h = 0xcbf29ce484222325u;
	uint8_t udp = r->is_udp;
	char start[FLOW_TIME_LEN];

	h = hash_add(h, &udp, 1);
	h = hash_addr(h, &r->src);
	h = hash_addr(h, &r->dst);
	flow_time_format(r->start_ns, start);
	ret->stem = hash_add(h, start, strlen(start));
	ret->start_s = r->start_ns / 1000000000u;
	ret->is_end = r->is_closed;
}

const char *flow_report_name_format(const struct flow_report_name *n, char buf[FLOW_REPORT_NAME_LEN])
{
	snprintf(buf, FLOW_REPORT_NAME_LEN, "%0*" PRIu64 "-%0*" PRIx64 "%s", SECONDS_DIGITS, n->start_s,
		 STEM_DIGITS, n->stem, n->is_end ? END_SUFFIX : START_SUFFIX);
	return buf;
}

bool flow_report_name_parse(const char *text, struct flow_report_name *ret)
{
	struct flow_report_name n = { 0 };
	uint8_t stem[STEM_DIGITS / 2];
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (n.start_s > UINT64_MAX / 10 - 1)
			return false;
		n.start_s = n.start_s * 10 + (uint64_t)(*at - '0');
	}
	if (at - text < SECONDS_DIGITS || *at++ != '-' || strlen(at) < STEM_DIGITS)
		return false;
	for (size_t i = 0; i < STEM_DIGITS; i++)
		if (strchr("0123456789abcdef", at[i]) == NULL)
			return false;
	char digits[STEM_DIGITS + 1];
	memcpy(digits, at, STEM_DIGITS);
	digits[STEM_DIGITS] = '\0';
	if (fz_hex_decode(stem, sizeof(stem), digits) != 0)
		return false;
	for (size_t i = 0; i < sizeof(stem); i++)
		n.stem = n.stem << 8 | stem[i];
	at += STEM_DIGITS;
	n.is_end = strcmp(at, END_SUFFIX) == 0;
	if (!n.is_end && strcmp(at, START_SUFFIX) != 0)
		return false;
	*ret = n;
	return true;
}

int flow_report_name_compare(const struct flow_report_name *a, const struct flow_report_name *b)
{
	if (a->start_s != b->start_s)
		return a->start_s < b->start_s ? -1 : 1;
	if (a->stem != b->stem)
		return a->stem < b->stem ? -1 : 1;
	return (int)a->is_end - (int)b->is_end;
}

/* The checksum is that of the record's compact text with sorted keys, whatever the file looks like. */
static char *canonical(const struct fz_env *env, const struct jv *record, size_t *ret_len, uint32_t *ret_sum)
{
	char *text = jv_dump_sorted(env, record, ret_len);

	if (text)
		*ret_sum = ~fz_crc32_add(FZ_CRC32_INIT, text, *ret_len);
	return text;
}

char *flow_report_encode(const struct fz_env *env, const struct jv *record, size_t *ret_len)
{
	size_t len;
	uint32_t sum;
	char *inner = canonical(env, record, &len, &sum), *text = NULL;
	struct jv *file = inner ? jv_object() : NULL;

	if (file && jv_set_u64(file, "checksum", sum) && jv_set(file, "payload", jv_share(record)))
		text = jv_dump(env, file, ret_len);
	jv_free(file);
	fz_free(env, inner);
	return text;
}

int flow_report_decode(const struct fz_env *env, const char *text, size_t len, char **ret_record,
		       size_t *ret_len)
{
	struct jv *file;
	const struct jv *payload;
	uint64_t want;
	uint32_t sum;
	char *inner = NULL;
	size_t inner_len;
	int err = FZ_ERR_WIRE;

	if (jv_parse(text, len, &file) != JV_OK)
		return FZ_ERR_WIRE;
	payload = jv_get(file, "payload");
	if (payload && jv_type(payload) == JV_OBJECT && jv_u64(jv_get(file, "checksum"), &want)) {
		inner = canonical(env, payload, &inner_len, &sum);
		err = inner == NULL ? FZ_ERR_NOMEM : sum == want ? 0 : FZ_ERR_WIRE;
	}
	if (err == 0) {
		*ret_record = inner;
		*ret_len = inner_len;
	} else {
		fz_free(env, inner);
	}
	jv_free(file);
	return err;
}
