/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/record.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/addr.h"

/* Days since 1970 as year, month and day of the Gregorian calendar: years begin in March, so that the leap
 * day is the last one of a cycle. */
static void civil(uint64_t days, uint64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = (unsigned)(doe - (365 * yoe + yoe / 4 - yoe / 100)), mp = (5 * doy + 2) / 153;

	*ret_day = doy - (153 * mp + 2) / 5 + 1;
	*ret_month = mp < 10 ? mp + 3 : mp - 9;
	*ret_year = yoe + era * 400 + (*ret_month <= 2);
}

const char *flow_time_format(uint64_t unix_ns, char buf[FLOW_TIME_LEN])
{
	uint64_t s = unix_ns / 1000000000u, year;
	unsigned ns = (unsigned)(unix_ns % 1000000000u), day_s = (unsigned)(s % 86400), month, day;
	int n;

	civil(s / 86400, &year, &month, &day);
	n = snprintf(buf, FLOW_TIME_LEN, "%04" PRIu64 "-%02u-%02uT%02u:%02u:%02u", year, month, day,
		     day_s / 3600, day_s / 60 % 60, day_s % 60);
	if (ns % 1000 != 0)
		n += snprintf(buf + n, FLOW_TIME_LEN - (size_t)n, ".%09u", ns);
	else if (ns % 1000000 != 0)
		n += snprintf(buf + n, FLOW_TIME_LEN - (size_t)n, ".%06u", ns / 1000);
	else if (ns != 0)
		n += snprintf(buf + n, FLOW_TIME_LEN - (size_t)n, ".%03u", ns / 1000000);
	snprintf(buf + n, FLOW_TIME_LEN - (size_t)n, "Z");
	return buf;
}

static bool set_time(struct jv *o, const char *key, uint64_t ns)
{
	char text[FLOW_TIME_LEN];

	return jv_set_str(o, key, flow_time_format(ns, text));
}

static bool set_ip(struct jv *o, const char *key, const struct fz_ip *ip)
{
	char text[FZ_IP_STRLEN];

	return jv_set_str(o, key, fz_ip_format(ip, text));
}

static struct jv *outers_json(const struct flow_record *r)
{
	struct jv *list = jv_array();
	bool good = list != NULL;

	for (size_t i = 0; i < r->outers_len && good; i++) {
		const struct flow_outer *o = &r->outers[i];
		struct jv *v = jv_object();
		good = set_ip(v, "dst_ip", &o->dst.ip) && jv_set_u64(v, "dst_port", o->dst.port) &&
		       set_time(v, "path_activated_at", o->at_ns);
		if (good && fz_addr_set(&o->src))
			good = set_ip(v, "src_ip", &o->src.ip) && jv_set_u64(v, "src_port", o->src.port);
		if (good)
			good = jv_push(list, v);
		else
			jv_free(v);
	}
	if (good)
		return list;
	jv_free(list);
	return NULL;
}

/* In the order of the alphabet. */
static bool fill(struct jv *o, const struct flow_record *r)
{
	if (r->domain && !jv_set_str(o, "domain", r->domain))
		return false;
	if (r->is_closed && !set_time(o, "flow_end", r->end_ns))
		return false;
	if (!set_time(o, "flow_start", r->start_ns) || !set_ip(o, "inner_dst_ip", &r->dst.ip) ||
	    !jv_set_u64(o, "inner_dst_port", r->dst.port) || !set_ip(o, "inner_src_ip", &r->src.ip) ||
	    !jv_set_u64(o, "inner_src_port", r->src.port))
		return false;
	if (r->is_closed && !set_time(o, "last_packet", r->last_ns))
		return false;
	if (!jv_set(o, "outers", outers_json(r)) || !jv_set_str(o, "protocol", r->is_udp ? "udp" : "tcp"))
		return false;
	return !r->is_closed ||
	       (jv_set_u64(o, "rx_bytes", r->rx_bytes) && jv_set_u64(o, "rx_packets", r->rx_packets) &&
		jv_set_u64(o, "tx_bytes", r->tx_bytes) && jv_set_u64(o, "tx_packets", r->tx_packets));
}

struct jv *flow_record_json(const struct flow_record *r)
{
	struct jv *o = jv_object();

	if (o && fill(o, r))
		return o;
	jv_free(o);
	return NULL;
}
