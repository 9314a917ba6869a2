/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "summary.h"

/* ---- values ---- */

static uint64_t number(json_t *v, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(v, key));
}

/* A text without control characters: names come from the portal, and this is a terminal. */
static const char *text(json_t *v, const char *key, char *buf, size_t cap)
{
	const char *s = json_string_value(json_object_get(v, key));

	snprintf(buf, cap, "%s", s ? s : "-");
	for (char *at = buf; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	return buf;
}

#define TEXT_MAX 256
#define T(v, key) text(v, key, (char[TEXT_MAX]){ "" }, TEXT_MAX)
#define BYTES(v, key) summary_bytes(number(v, key), (char[32]){ "" }, 32)
#define TIME(us) summary_duration(us, (char[32]){ "" }, 32)

static const char *join(json_t *array, char *buf, size_t cap)
{
	size_t i, len = 0;
	json_t *v;

	buf[0] = '\0';
	json_array_foreach(array, i, v) if (json_is_string(v) && len < cap) len +=
		(size_t)snprintf(buf + len, cap - len, "%s%s", i ? ", " : "", json_string_value(v));
	return *buf ? buf : "-";
}

static const char *rtt(json_t *v, char *buf, size_t cap)
{
	uint64_t us = number(v, "rtt_us");

	if (us == 0)
		return "-";
	snprintf(buf, cap, "%.1f ms", (double)us / 1000);
	return buf;
}

#define RTT(v) rtt(v, (char[32]){ "" }, 32)

/* ---- parts ---- */

static void view_head(json_t *root, FILE *out)
{
	json_t *process = json_object_get(root, "process"), *platform = json_object_get(root, "platform");

	fprintf(out, "%s %s, process %" PRIu64 ", running for %s, log \"%s\"\n", T(process, "name"),
		T(root, "version"), number(process, "pid"), TIME(number(process, "uptime_us")),
		T(process, "log"));
	if (platform)
		fprintf(out, "UDP ports %" PRIu64 " (IPv4), %" PRIu64 " (IPv6)\n",
			number(platform, "udp_port4"), number(platform, "udp_port6"));
}

static void view_portal(json_t *root, FILE *out)
{
	json_t *p = json_object_get(root, "portal");

	fprintf(out, "Portal %s:%" PRIu64 "%s: %s", T(p, "host"), number(p, "port"),
		json_is_true(json_object_get(p, "tls")) ? "" : " (no TLS)", T(p, "state"));
	if (json_object_get(p, "reason"))
		fprintf(out, " (%s)", T(p, "reason"));
	if (json_object_get(p, "retry_us"))
		fprintf(out, ", next attempt in %s", TIME(number(p, "retry_us")));
	fprintf(out, "; joined %" PRIu64 " times, lost %" PRIu64 " times\n", number(p, "joins"),
		number(p, "losses"));
}

static void view_traffic(json_t *root, FILE *out)
{
	json_t *t = json_object_get(root, "traffic");

	fprintf(out, "Sent %" PRIu64 " packets (%s), received %" PRIu64 " (%s)\n", number(t, "sent_packets"),
		BYTES(t, "sent_bytes"), number(t, "received_packets"), BYTES(t, "received_bytes"));
}

static void view_dns(json_t *root, FILE *out)
{
	static const struct {
		const char *key, *title;
	} lists[] = { { "dns_system", "of the system" },
		      { "dns_used", "in use" },
		      { "dns_tunnel", "in the tunnel" } };
	char list[1024];

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		json_t *v = json_object_get(root, lists[i].key);
		if (json_array_size(v) > 0)
			fprintf(out, "Name servers %s: %s\n", lists[i].title, join(v, list, sizeof(list)));
	}
}

static void view_relays(json_t *root, FILE *out)
{
	json_t *rows = json_object_get(root, "relays"), *r;
	char list[512];
	size_t i;

	fprintf(out, "\n%-36s  %-15s  %10s  %s\n", "RELAY", "STATE", "ROUND TRIP", "SERVERS");
	json_array_foreach(rows, i, r)
		fprintf(out, "%-36s  %-15s  %10s  %s\n", T(r, "id"), T(r, "state"), RTT(r),
			join(json_object_get(r, "servers"), list, sizeof(list)));
	if (json_array_size(rows) == 0)
		fprintf(out, "(none)\n");
}

static void view_peers(json_t *root, FILE *out)
{
	json_t *rows = json_object_get(root, "peers"), *r;
	uint64_t total = number(json_object_get(root, "totals"), "peers");
	size_t i;

	fprintf(out, "\n%-36s  %-10s  %-21s  %10s  %10s  %10s  %s\n", "PEER", "STATE", "PATH", "ROUND TRIP",
		"SENT", "RECEIVED", "WHY");
	json_array_foreach(rows, i, r) fprintf(out, "%-36s  %-10s  %-21s  %10s  %10s  %10s  %s\n", T(r, "id"),
					       T(r, "state"), T(r, "path"), RTT(r), BYTES(r, "sent_bytes"),
					       BYTES(r, "received_bytes"), T(r, "why"));
	if (total > json_array_size(rows))
		fprintf(out, "(and %" PRIu64 " more)\n", total - json_array_size(rows));
	if (total == 0)
		fprintf(out, "(none)\n");
}

static void view_resources(json_t *root, FILE *out)
{
	json_t *rows = json_object_get(root, "resources"), *r;
	uint64_t total = number(root, "resources_total");
	size_t i;

	if (rows == NULL) {
		fprintf(out, "\n%" PRIu64 " clients with %" PRIu64 " grants\n", number(root, "clients_total"),
			number(root, "grants_total"));
		return;
	}
	fprintf(out, "\n%-30s  %-20s  %-13s  %s\n", "RESOURCE", "TYPE", "ACCESS", "ADDRESS");
	json_array_foreach(rows, i, r) fprintf(out, "%-30s  %-20s  %-13s  %s\n", T(r, "name"), T(r, "type"),
					       T(r, "access"), T(r, "address"));
	if (total > json_array_size(rows))
		fprintf(out, "(and %" PRIu64 " more)\n", total - json_array_size(rows));
	if (total == 0)
		fprintf(out, "(none)\n");
}

static bool drop_table(json_t *drops, const char *where, bool begun, FILE *out)
{
	const char *name;
	json_t *v;

	json_object_foreach(drops, name, v)
	{
		if (json_integer_value(v) == 0)
			continue;
		if (!begun)
			fprintf(out, "\n%10s  %s\n", "DROPPED", "REASON");
		begun = true;
		fprintf(out, "%10" PRIu64 "  %s%s\n", (uint64_t)json_integer_value(v), where, name);
	}
	return begun;
}

static void view_drops(json_t *root, FILE *out)
{
	bool begun = drop_table(json_object_get(root, "drops"), "", false, out);

	begun = drop_table(json_object_get(root, "malformed"), "malformed packet: ", begun, out);
	begun = drop_table(json_object_get(json_object_get(root, "portal"), "drops"), "portal: ", begun, out);
	begun = drop_table(json_object_get(json_object_get(root, "platform"), "drops"), "", begun, out);
	if (!begun)
		fprintf(out, "\nNothing was dropped.\n");
}

void view_status(json_t *root, FILE *out)
{
	view_head(root, out);
	view_portal(root, out);
	view_traffic(root, out);
	view_dns(root, out);
	view_relays(root, out);
	view_peers(root, out);
	view_resources(root, out);
	view_drops(root, out);
}
