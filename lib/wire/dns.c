/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include <string.h>

#include "base/wr.h"
#include "fzconn/error.h"

#define QUESTION_TAIL 4 /* type and class */
#define RR_FIXED 10 /* type, class, ttl, length */
#define POINTER_TO_QUESTION (0xc000 | DNS_HEADER_LEN)

/* ---- reading ---- */

static bool read_record(struct fz_rd *r, const uint8_t *msg, struct dns_record *ret)
{
	struct dns_name owner;

	if (!dns_name_read(r, msg, &owner))
		return false;
	ret->type = fz_rd_be16(r);
	ret->class = fz_rd_be16(r);
	ret->ttl_at = (size_t)(r->at - msg);
	ret->ttl = fz_rd_be32(r);
	ret->data_len = fz_rd_be16(r);
	ret->data_at = (size_t)(r->at - msg);
	return fz_rd_take(r, ret->data_len) != NULL;
}

/* Header, at most one question, answers. */
static int parse(const void *data, size_t len, struct dns_msg *ret)
{
	struct fz_rd r = fz_rd_init(data, len);
	struct dns_msg m = { .data = data, .len = len };
	struct dns_record rr;
	uint16_t questions;

	m.id = fz_rd_be16(&r);
	m.flags = fz_rd_be16(&r);
	questions = fz_rd_be16(&r);
	m.answers = fz_rd_be16(&r);
	m.authorities = fz_rd_be16(&r);
	m.additionals = fz_rd_be16(&r);
	if (r.bad || len > DNS_MESSAGE_MAX || questions > 1)
		return FZ_ERR_WIRE;
	if (questions == 1) {
		if (!dns_name_read(&r, data, &m.name))
			return FZ_ERR_WIRE;
		m.type = fz_rd_be16(&r);
		m.class = fz_rd_be16(&r);
		/* Nothing stands before it that it could point to but the header. */
		if (r.bad || r.at != m.data + DNS_HEADER_LEN + m.name.len + QUESTION_TAIL)
			return FZ_ERR_WIRE;
	}
	m.answers_at = (size_t)(r.at - m.data);
	for (uint16_t i = 0; i < m.answers; i++)
		if (!read_record(&r, m.data, &rr))
			return FZ_ERR_WIRE;
	m.answers_end = (size_t)(r.at - m.data);
	*ret = m;
	return 0;
}

int dns_parse_query(const void *data, size_t len, struct dns_msg *ret)
{
	struct dns_msg m;

	if (parse(data, len, &m) != 0 || m.flags & DNS_QR || m.name.len == 0)
		return FZ_ERR_WIRE;
	*ret = m;
	return 0;
}

int dns_parse_reply(const void *data, size_t len, struct dns_msg *ret)
{
	struct dns_msg m;

	if (parse(data, len, &m) != 0 || !(m.flags & DNS_QR))
		return FZ_ERR_WIRE;
	*ret = m;
	return 0;
}

bool dns_answers(const struct dns_msg *reply, const struct dns_msg *query)
{
	if (reply->name.len == 0)
		return (reply->flags & DNS_RCODE) != DNS_NOERROR;
	return reply->type == query->type && reply->class == query->class &&
	       dns_name_equal(&reply->name, &query->name);
}

bool dns_next_answer(const struct dns_msg *msg, size_t *at, struct dns_record *ret)
{
	struct fz_rd r = { msg->data + *at, msg->data + msg->answers_end, false };

	if (*at >= msg->answers_end || !read_record(&r, msg->data, ret))
		return false;
	*at = (size_t)(r.at - msg->data);
	return true;
}

struct dns_edns dns_edns(const struct dns_msg *msg)
{
	struct fz_rd r = { msg->data + msg->answers_end, msg->data + msg->len, false };
	struct dns_record rr;

	for (uint32_t i = 0; i < (uint32_t)msg->authorities + msg->additionals; i++) {
		const uint8_t *owner = r.at;

		if (!read_record(&r, msg->data, &rr))
			break;
		if (i < msg->authorities || rr.type != DNS_OPT || *owner != 0)
			continue;
		return (struct dns_edns){ .udp_size = rr.class < DNS_UDP_MIN ? DNS_UDP_MIN : rr.class,
					  .dnssec_ok = (rr.ttl & 0x8000) != 0 };
	}
	return (struct dns_edns){ 0 };
}

/* ---- writing ---- */

static struct fz_wr begin(const struct dns_msg *q, enum dns_rcode rcode, uint8_t *buf, size_t cap)
{
	struct fz_wr w = fz_wr_init(buf, cap);

	fz_wr_be16(&w, q->id);
	fz_wr_be16(&w, (uint16_t)(DNS_QR | (q->flags & (DNS_OPCODE | DNS_RD)) | (uint16_t)rcode));
	fz_wr_be16(&w, 1);
	fz_wr_zero(&w, 6);
	fz_wr_bytes(&w, q->name.b, q->name.len);
	fz_wr_be16(&w, q->type);
	fz_wr_be16(&w, q->class);
	return w;
}

static size_t finish(struct fz_wr *w, uint16_t answers)
{
	fz_put_be16(w->start + 6, answers);
	return fz_wr_len(w);
}

/* Fixed part of a record, its data left to the caller. */
static void put_record(struct fz_wr *w, const struct dns_msg *q, bool compress, enum dns_type type,
		       uint32_t ttl, size_t data_len)
{
	if (compress)
		fz_wr_be16(w, POINTER_TO_QUESTION);
	else
		fz_wr_bytes(w, q->name.b, q->name.len);
	fz_wr_be16(w, (uint16_t)type);
	fz_wr_be16(w, DNS_CLASS_IN);
	fz_wr_be32(w, ttl);
	fz_wr_be16(w, (uint16_t)data_len);
}

static size_t cut_off(struct fz_wr *w, const struct dns_msg *q)
{
	w->start[2] |= DNS_TC >> 8;
	w->at = w->start + DNS_HEADER_LEN + q->name.len + QUESTION_TAIL;
	return finish(w, 0);
}

size_t dns_reply_empty(const struct dns_msg *query, enum dns_rcode rcode, uint8_t *buf, size_t cap)
{
	struct fz_wr w = begin(query, rcode, buf, cap);

	return finish(&w, 0);
}

size_t dns_reply_ips(const struct dns_msg *query, const struct fz_ip *ips, size_t n, uint32_t ttl,
		     uint8_t *buf, size_t cap)
{
	for (int compress = 0;; compress++) {
		struct fz_wr w = begin(query, DNS_NOERROR, buf, cap);

		for (size_t i = 0; i < n; i++) {
			bool v4 = ips[i].family == FZ_FAMILY_INET;
			size_t len = v4 ? 4 : 16;
			put_record(&w, query, compress != 0, v4 ? DNS_A : DNS_AAAA, ttl, len);
			fz_wr_bytes(&w, ips[i].b, len);
		}
		if (!w.bad)
			return finish(&w, (uint16_t)n);
		if (compress)
			return cut_off(&w, query);
	}
}

size_t dns_reply_ptr(const struct dns_msg *query, const struct dns_name *target, uint32_t ttl, uint8_t *buf,
		     size_t cap)
{
	for (int compress = 0;; compress++) {
		struct fz_wr w = begin(query, DNS_NOERROR, buf, cap);

		put_record(&w, query, compress != 0, DNS_PTR, ttl, target->len);
		fz_wr_bytes(&w, target->b, target->len);
		if (!w.bad)
			return finish(&w, 1);
		if (compress)
			return cut_off(&w, query);
	}
}

size_t dns_truncate(uint8_t *data, size_t len, size_t limit)
{
	struct fz_rd r = fz_rd_init(data, len);
	struct dns_name name;
	size_t keep = DNS_HEADER_LEN;
	bool question;

	if (len <= limit || len < DNS_HEADER_LEN)
		return len;
	r.at += DNS_HEADER_LEN;
	question = fz_get_be16(data + 4) == 1 && dns_name_read(&r, data, &name) &&
		   fz_rd_take(&r, QUESTION_TAIL) != NULL && (size_t)(r.at - data) <= limit;
	if (question)
		keep = (size_t)(r.at - data);
	data[2] |= DNS_TC >> 8;
	fz_put_be16(data + 4, question);
	memset(data + 6, 0, 6);
	return keep;
}
