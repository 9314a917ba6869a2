/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Label values are texts of the snapshot: quotes and line ends are escaped. */
static void put_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text == '\n' ? ' ' : *text, out);
	}
}

static uint64_t number(json_t *v, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(v, key));
}

/* A metric without labels. */
struct plain {
	const char *name, *type, *help, *part, *key; /* part NULL = the snapshot itself */
};

static const struct plain plains[] = {
	{ "fzconn_portal_dials_total", "counter", "Attempts to connect to the portal.", "portal", "dials" },
	{ "fzconn_portal_joins_total", "counter", "Times that the portal was joined.", "portal", "joins" },
	{ "fzconn_portal_losses_total", "counter", "Times that the portal was lost.", "portal", "losses" },
	{ "fzconn_resources", "gauge", "Resources that the portal lists.", NULL, "resources_total" },
	{ "fzconn_clients", "gauge", "Clients with at least one grant.", NULL, "clients_total" },
	{ "fzconn_grants", "gauge", "Grants of connected clients.", NULL, "grants_total" },
	{ "fzconn_warnings_not_shown_total", "counter", "Log lines that were held back.", "process",
	  "warnings_not_shown" },
};

/* A metric with one label of two or more values. */
struct split {
	const char *name, *type, *help, *part, *label;
	struct {
		const char *value, *key;
	} rows[3];
};

static const struct split splits[] = {
	{ "fzconn_peers",
	  "gauge",
	  "Connections by the path that they use.",
	  "totals",
	  "path",
	  { { "direct", "peers_direct" }, { "relayed", "peers_relayed" }, { "none", "peers_connecting" } } },
	{ "fzconn_packets_total",
	  "counter",
	  "Packets inside of the tunnel.",
	  "traffic",
	  "direction",
	  { { "sent", "sent_packets" }, { "received", "received_packets" } } },
	{ "fzconn_bytes_total",
	  "counter",
	  "Bytes inside of the tunnel.",
	  "traffic",
	  "direction",
	  { { "sent", "sent_bytes" }, { "received", "received_bytes" } } },
	{ "fzconn_udp_datagrams_total",
	  "counter",
	  "Datagrams outside of the tunnel.",
	  "platform",
	  "direction",
	  { { "sent", "udp_sent" }, { "received", "udp_received" } } },
	{ "fzconn_portal_messages_total",
	  "counter",
	  "Messages of the portal.",
	  "portal",
	  "direction",
	  { { "sent", "messages_out" }, { "received", "messages_in" } } },
};

static json_t *part_of(json_t *root, const char *part)
{
	return part ? json_object_get(root, part) : root;
}

static void put_plains(FILE *out, json_t *root)
{
	for (size_t i = 0; i < sizeof(plains) / sizeof(*plains); i++) {
		const struct plain *p = &plains[i];
		json_t *part = part_of(root, p->part);
		if (json_object_get(part, p->key) == NULL)
			continue; /* of the other role */
		head(out, p->name, p->type, p->help);
		fprintf(out, "%s %" PRIu64 "\n", p->name, number(part, p->key));
	}
}

static void put_splits(FILE *out, json_t *root)
{
	for (size_t i = 0; i < sizeof(splits) / sizeof(*splits); i++) {
		const struct split *s = &splits[i];
		head(out, s->name, s->type, s->help);
		for (size_t r = 0; r < 3 && s->rows[r].value; r++)
			fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", s->name, s->label, s->rows[r].value,
				number(part_of(root, s->part), s->rows[r].key));
	}
}

static void put_drops_of(FILE *out, json_t *drops, const char *layer)
{
	const char *reason;
	json_t *v;

	json_object_foreach(drops, reason, v)
	{
		fprintf(out, "fzconn_drops_total{layer=\"%s\",reason=\"", layer);
		put_label(out, reason);
		fprintf(out, "\"} %" PRIu64 "\n", (uint64_t)json_integer_value(v));
	}
}

static void put_drops(FILE *out, json_t *root)
{
	head(out, "fzconn_drops_total", "counter", "What was dropped, by reason.");
	put_drops_of(out, json_object_get(root, "drops"), "tunnel");
	put_drops_of(out, json_object_get(root, "malformed"), "malformed packet");
	put_drops_of(out, json_object_get(json_object_get(root, "portal"), "drops"), "portal");
	put_drops_of(out, json_object_get(json_object_get(root, "platform"), "drops"), "system");
}

static void put_relays(FILE *out, json_t *root)
{
	json_t *relays = json_object_get(root, "relays"), *r;
	unsigned ready = 0;
	size_t i;

	head(out, "fzconn_relay_round_trip_seconds", "gauge", "Round trip to each relay that answers.");
	json_array_foreach(relays, i, r)
	{
		const char *state = json_string_value(json_object_get(r, "state"));
		ready += state && strcmp(state, "ready") == 0;
		if (json_object_get(r, "rtt_us") == NULL)
			continue;
		fprintf(out, "fzconn_relay_round_trip_seconds{relay=\"");
		put_label(out, json_string_value(json_object_get(r, "id")));
		fprintf(out, "\"} %.6f\n", (double)number(r, "rtt_us") / 1e6);
	}
	head(out, "fzconn_relays", "gauge", "Relays that the portal named.");
	fprintf(out, "fzconn_relays %zu\n", json_array_size(relays));
	head(out, "fzconn_relays_ready", "gauge", "Relays on which we have addresses.");
	fprintf(out, "fzconn_relays_ready %u\n", ready);
}

static void put_process(FILE *out, json_t *root)
{
	const char *state = json_string_value(json_object_get(json_object_get(root, "portal"), "state"));

	head(out, "fzconn_info", "gauge", "Role and version.");
	fprintf(out, "fzconn_info{role=\"%s\",version=\"%s\"} 1\n",
		json_string_value(json_object_get(root, "role")),
		json_string_value(json_object_get(root, "version")));
	head(out, "fzconn_uptime_seconds", "gauge", "Time since the start.");
	fprintf(out, "fzconn_uptime_seconds %.3f\n",
		(double)number(json_object_get(root, "process"), "uptime_us") / 1e6);
	head(out, "fzconn_portal_up", "gauge", "1 while the portal is joined.");
	fprintf(out, "fzconn_portal_up %d\n", state && strcmp(state, "up") == 0);
}

char *metrics_text(const char *snapshot)
{
	json_t *root = json_loads(snapshot, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = root ? open_memstream(&text, &len) : NULL;

	if (out) {
		put_process(out, root);
		put_plains(out, root);
		put_splits(out, root);
		put_relays(out, root);
		put_drops(out, root);
		if (fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	json_decref(root);
	return text;
}
