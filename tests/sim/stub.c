/* SPDX-License-Identifier: Apache-2.0 */
#include "stub.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ext/crypto.h"
#include "ext/json.h"

#define INBOX_MAX 65536
#define GRANTS_MAX 4096
/* Well-formed, and signed by nobody. */
#define TOKEN                                                                                                \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhY2NvdW50X2lkIjoiMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDA"   \
	"wMDAwMDAxIiwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3OTg3NjE2MDAsInVwbG9hZHNfZW5hYmxlZCI6ZmFsc2UsInJvbGU"   \
	"iOiJpbml0aWF0b3IiLCJpbml0aWF0b3JfZGV2aWNlX2lkIjoiMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDA"   \
	"xIiwicmVzcG9uZGVyX2RldmljZV9pZCI6IjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMSIsInBvbGljeV9"   \
	"hdXRob3JpemF0aW9uX2lkIjoiMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAxIiwicG9saWN5X2lkIjoiMDA"   \
	"wMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAxIiwicmVzb3VyY2VfaWQiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODA"   \
	"wMC0wMDAwMDAwMDAwMDEiLCJyZXNvdXJjZV9uYW1lIjoiciIsImluaXRpYXRvcl9hY3Rvcl9pZCI6IjAwMDAwMDAwLTAwMDA"   \
	"tNDAwMC04MDAwLTAwMDAwMDAwMDAwMSIsImluaXRpYXRvcl9hY3Rvcl9uYW1lIjoiQWRhIiwiYXV0aG9yaXplZF9hdCI6IjI"   \
	"wMjYtMDEtMDFUMDA6MDA6MDAuMDAwMDAwWiIsImF1dGhvcml6YXRpb25fZXhwaXJlc19hdCI6IjIwMjYtMDktMDJUMTA6MDA"   \
	"6MDAuMDAwMDAwWiJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct line {
	bool is_open, has_upgraded, has_joined, is_gateway;
	unsigned number;
	char key[45]; /* base64 */
	uint8_t *inbox; /* INBOX_MAX bytes, made when it is first opened */
	size_t inbox_len;
};

struct resource {
	bool exists;
	const char *type;
	char address[256], filters[512], stack[16];
	unsigned site;
};

struct turn {
	bool exists;
	struct fz_addr addr4, addr6;
	char username[64], password[64], hidden_from;
};

struct grant {
	unsigned client, resource;
	uint64_t expires_s;
};

struct stub {
	stub_send *send;
	void *ctx;
	bool is_down, is_silent;
	const char *refusal;
	char interface[512];
	char flow_url[128], client_token[2048], gateway_token[2048];
	unsigned flow_interval_s;
	uint64_t expires_s;
	struct line lines[STUB_LINES_MAX];
	struct resource resources[STUB_RESOURCES_MAX];
	struct turn relays[STUB_RELAYS_MAX];
	struct grant grants[GRANTS_MAX];
	size_t n_grants;
	struct stub_stats stats;
};

/* ---- text ---- */

struct text {
	char v[1 << 19];
	size_t len;
};

static void FZ_PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->v + t->len, sizeof(t->v) - t->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(t->v) - t->len)
		abort();
	t->len += (size_t)n;
}

const char *stub_id(char kind, unsigned n, char buf[37])
{
	snprintf(buf, 37, "%c0000000-0000-4000-8000-%012u", kind, n);
	return buf;
}

static unsigned number_of(const char *id)
{
	return id && strlen(id) == 36 ? (unsigned)strtoul(id + 24, NULL, 10) : 0;
}

/* ---- lines ---- */

struct stub *stub_new(stub_send *send, void *ctx)
{
	struct stub *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->send = send;
	s->ctx = ctx;
	stub_set_flow_logs(s, "http://127.0.0.1/", 0, TOKEN, TOKEN);
	return s;
}

void stub_free(struct stub *s)
{
	for (size_t i = 0; s && i < STUB_LINES_MAX; i++)
		free(s->lines[i].inbox);
	free(s);
}

const struct stub_stats *stub_stats(const struct stub *s)
{
	return &s->stats;
}

static void say_raw(struct stub *s, const struct line *l, const char *text, size_t len)
{
	uint8_t *frame = malloc(len + 10);
	size_t at = 2;

	if (frame == NULL)
		abort();
	frame[0] = 0x81;
	frame[1] = len < 126 ? (uint8_t)len : len < 65536 ? 126 : 127;
	if (len >= 65536) {
		memset(frame + at, 0, 4);
		at += 4;
		frame[at++] = (uint8_t)(len >> 24);
		frame[at++] = (uint8_t)(len >> 16);
	}
	if (len >= 126) {
		frame[at++] = (uint8_t)(len >> 8);
		frame[at++] = (uint8_t)len;
	}
	memcpy(frame + at, text, len);
	s->send(s->ctx, (unsigned)(l - s->lines), frame, at + len);
	free(frame);
}

static void say(struct stub *s, const struct line *l, const char *event, const char *payload)
{
	static struct text t;

	t.len = 0;
	add(&t, "{\"topic\":\"%s\",\"event\":\"%s\",\"ref\":null,\"payload\":%s}",
	    l->is_gateway ? "gateway" : "client", event, payload);
	say_raw(s, l, t.v, t.len);
}

void stub_say(struct stub *s, bool to_gateways, const char *event, const char *payload)
{
	for (size_t i = 0; i < STUB_LINES_MAX; i++)
		if (s->lines[i].has_joined && s->lines[i].is_gateway == to_gateways)
			say(s, &s->lines[i], event, payload);
}

static struct line *find_line(struct stub *s, bool is_gateway, unsigned number)
{
	for (size_t i = 0; i < STUB_LINES_MAX; i++) {
		struct line *l = &s->lines[i];
		if (l->has_joined && l->is_gateway == is_gateway && (number == 0 || l->number == number))
			return l;
	}
	return NULL;
}

bool stub_key(struct stub *s, bool is_gateway, unsigned number, struct fz_key *ret)
{
	const struct line *l = find_line(s, is_gateway, number);

	return l && fz_b64_decode(ret, sizeof(*ret), l->key) == 0;
}

/* ---- what devices are told ---- */

static void add_relays(struct text *t, const struct stub *s, bool for_gateway)
{
	char a[FZ_ADDR_STRLEN], id[37];
	const char *comma = "";

	for (unsigned i = 0; i < STUB_RELAYS_MAX; i++) {
		const struct turn *r = &s->relays[i];
		const struct fz_addr *addrs[] = { &r->addr4, &r->addr6 };
		for (size_t k = 0; k < 2 && r->exists && r->hidden_from != (for_gateway ? 'g' : 'c'); k++) {
			if (addrs[k]->ip.family == FZ_FAMILY_NONE)
				continue;
			add(t,
			    "%s{\"type\":\"turn\",\"id\":\"%s\",\"addr\":\"%s\",\"username\":\"%s\","
			    "\"password\":\"%s\","
			    "\"expires_at\":2145916800}",
			    comma, stub_id('b', i, id), fz_addr_format(addrs[k], a), r->username,
			    r->password);
			comma = ",";
		}
	}
}

static void add_resource(struct text *t, const struct resource *r, unsigned n, bool for_gateway)
{
	bool is_internet = strcmp(r->type, "internet") == 0;
	char id[37];

	add(t, "{\"id\":\"%s\",\"type\":\"%s\"", stub_id('5', n, id), r->type);
	if (!is_internet)
		add(t, ",\"name\":\"r%u\",\"address\":\"%s\",\"filters\":%s", n, r->address, r->filters);
	if (r->stack[0] && !for_gateway)
		add(t, ",\"ip_stack\":\"%s\"", r->stack);
	if (!for_gateway)
		add(t, ",\"sites\":[{\"id\":\"%s\",\"name\":\"site\"}]", stub_id('d', r->site, id));
	add(t, "}");
}

/* Third byte of a client's tunnel address; gateways have 1. */
static unsigned client_net(unsigned number)
{
	return number < 256 ? 0 : 1 + number / 256;
}

static void add_interface(struct text *t, const struct stub *s, const struct line *l)
{
	add(t, "\"interface\":{\"ipv4\":\"100.64.%u.%u\",\"ipv6\":\"fd00:2021:1111::%u:%u\"%s}",
	    l->is_gateway ? 1 : client_net(l->number), l->number & 255, l->is_gateway, l->number,
	    l->is_gateway ? "" : s->interface);
}

static void say_init(struct stub *s, const struct line *l)
{
	static struct text t;
	const char *comma = "";
	char a[37], b[37];

	t.len = 0;
	add(&t, "{");
	add_interface(&t, s, l);
	add(&t, ",\"config\":{\"ipv4_masquerade_enabled\":true,\"ipv6_masquerade_enabled\":true},"
		"\"relays\":[");
	add_relays(&t, s, l->is_gateway);
	add(&t, "],\"resources\":[");
	for (unsigned i = 0; i < STUB_RESOURCES_MAX; i++) {
		if (!s->resources[i].exists)
			continue;
		add(&t, "%s", comma);
		add_resource(&t, &s->resources[i], i, false);
		comma = ",";
	}
	add(&t, "],\"authorizations\":[");
	comma = "";
	for (size_t i = 0; i < s->n_grants && l->is_gateway; i++) {
		const struct grant *g = &s->grants[i];
		add(&t, "%s{\"client_id\":\"%s\",\"resource_id\":\"%s\",\"expires_at\":%llu}", comma,
		    stub_id('c', g->client, a), stub_id('5', g->resource, b),
		    (unsigned long long)g->expires_s);
		comma = ",";
	}
	add(&t, "],\"flow_logs\":{\"api_url\":\"%s\",\"upload_interval_secs\":%u,\"upload_batch_size\":0}}",
	    s->flow_url, s->flow_interval_s);
	say(s, l, "init", t.v);
}

/* ---- authorizations ---- */

struct secrets {
	char user[2][5], pwd[2][23], psk[45];
};

/* Stable until one of the keys changes. */
static struct secrets agree(const struct line *c, const struct line *g)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	struct secrets x;
	uint8_t psk[32];
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < 44; i++)
		h = (h ^ (uint8_t)c->key[i] ^ (uint64_t)(uint8_t)g->key[i] << 8) * 0x100000001b3u;
	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < 26; i++) {
			h = h * 6364136223846793005u + 1442695040888963407u;
			*(i < 4 ? &x.user[k][i] : &x.pwd[k][i - 4]) = base32[h >> 59];
		}
		x.user[k][4] = x.pwd[k][22] = '\0';
	}
	for (size_t i = 0; i < 32; i++)
		psk[i] = (uint8_t)(h >> i);
	fz_b64_encode(x.psk, psk, sizeof(psk));
	return x;
}

static void remember(struct stub *s, unsigned client, unsigned resource)
{
	size_t i = 0;

	while (i < s->n_grants && (s->grants[i].client != client || s->grants[i].resource != resource))
		i++;
	if (i == GRANTS_MAX)
		abort();
	s->grants[i] = (struct grant){ client, resource, s->expires_s ? s->expires_s : 2145916800 };
	if (i == s->n_grants)
		s->n_grants++;
}

static void refuse(struct stub *s, const struct line *l, unsigned resource, const char *reason)
{
	static struct text t;
	char id[37];

	t.len = 0;
	add(&t, "{\"resource_id\":\"%s\",\"reason\":\"%s\"}", stub_id('5', resource, id), reason);
	say(s, l, "authorization_creation_failed", t.v);
}

static void on_request(struct stub *s, const struct line *c, const struct jv *payload)
{
	static struct text t;
	unsigned n = number_of(jv_str(jv_get(payload, "resource_id")));
	const struct line *g = find_line(s, true, 0);
	struct secrets x;
	char id[37];

	s->stats.requests++;
	if (n >= STUB_RESOURCES_MAX || !s->resources[n].exists || s->refusal) {
		refuse(s, c, n, s->refusal ? s->refusal : "not_found");
		return;
	}
	if (g == NULL) {
		s->stats.offline++;
		refuse(s, c, n, "offline");
		return;
	}
	x = agree(c, g);
	remember(s, c->number, n);
	t.len = 0;
	add(&t, "{\"ref\":\"%u.%u\",\"resource\":", c->number, n);
	add_resource(&t, &s->resources[n], n, true);
	add(&t,
	    ",\"client_ice_credentials\":{\"username\":\"%s\",\"password\":\"%s\"},\"gateway_ice_"
	    "credentials\":{"
	    "\"username\":\"%s\",\"password\":\"%s\"},\"client\":{\"id\":\"%s\",\"public_key\":\"%s\","
	    "\"preshared_key\":\"%s\",\"ipv4\":\"100.64.%u.%u\",\"ipv6\":\"fd00:2021:1111::0:%u\","
	    "\"version\":"
	    "\"1.5.12\"},\"use_iceless\":false,\"subject\":{},\"flow_logs_ingest_token\":\"%s\"",
	    x.user[0], x.pwd[0], x.user[1], x.pwd[1], stub_id('c', c->number, id), c->key, x.psk,
	    client_net(c->number), c->number & 255, c->number, s->gateway_token);
	if (s->expires_s)
		add(&t, ",\"expires_at\":%llu", (unsigned long long)s->expires_s);
	add(&t, "}");
	s->stats.created++;
	say(s, g, "create_authorization", t.v);
}

static void on_acknowledged(struct stub *s, const struct line *g, const struct jv *payload)
{
	static struct text t;
	unsigned client = 0, resource = 0;
	const struct line *c;
	struct secrets x;
	char id[37], rid[37], sid[37];

	s->stats.acknowledged++;
	if (s->is_silent || sscanf(jv_str(jv_get(payload, "ref")), "%u.%u", &client, &resource) != 2 ||
	    (c = find_line(s, false, client)) == NULL)
		return;
	x = agree(c, g);
	t.len = 0;
	add(&t,
	    "{\"resource_id\":\"%s\",\"gateway_id\":\"%s\",\"site_id\":\"%s\","
	    "\"gateway_public_key\":\"%s\",\"gateway_ipv4\":\"100.64.1.%u\",\"gateway_ipv6\":"
	    "\"fd00:2021:1111::1:%u\",\"preshared_key\":\"%s\",\"client_ice_credentials\":{\"username\":\"%"
	    "s\","
	    "\"password\":\"%s\"},\"gateway_ice_credentials\":{\"username\":\"%s\",\"password\":\"%s\"},"
	    "\"use_iceless\":false,\"flow_logs_ingest_token\":\"%s\"}",
	    stub_id('5', resource, rid), stub_id('a', g->number, id),
	    stub_id('d', s->resources[resource].site, sid), g->key, g->number, g->number, x.psk, x.user[0],
	    x.pwd[0], x.user[1], x.pwd[1], s->client_token);
	say(s, c, "authorization_created", t.v);
}

static void on_candidates(struct stub *s, const struct line *from, const struct jv *payload, bool gone)
{
	static struct text t;
	const struct jv *list = jv_get(payload, "candidates");
	const char *to_id = from->is_gateway ? jv_str(jv_at(jv_get(payload, "client_ids"), 0))
					     : jv_str(jv_get(payload, "gateway_id"));
	const struct line *to = find_line(s, !from->is_gateway, number_of(to_id));
	char id[37];

	*(gone ? &s->stats.invalidations : &s->stats.candidates) += (unsigned)jv_len(list);
	if (to == NULL)
		return;
	t.len = 0;
	add(&t, "{\"%s_id\":\"%s\",\"candidates\":[", from->is_gateway ? "gateway" : "client",
	    stub_id(from->is_gateway ? 'a' : 'c', from->number, id));
	for (size_t i = 0; i < jv_len(list); i++)
		add(&t, "%s\"%s\"", i ? "," : "", jv_str(jv_at(list, i)));
	add(&t, "]}");
	say(s, to, gone ? "invalidate_ice_candidates" : "ice_candidates", t.v);
}

/* ---- what devices say ---- */

static void on_no_relays(struct stub *s, const struct line *l)
{
	static struct text t;

	s->stats.no_relays++;
	t.len = 0;
	add(&t, "{\"disconnected_ids\":[],\"connected\":[");
	add_relays(&t, s, l->is_gateway);
	add(&t, "]}");
	say(s, l, "relays_presence", t.v);
}

static void on_join(struct stub *s, struct line *l, uint64_t ref)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"topic\":\"%s\",\"event\":\"phx_reply\",\"ref\":%llu,\"payload\":{\"status\":\"ok\","
		 "\"response\":{}}}",
		 l->is_gateway ? "gateway" : "client", (unsigned long long)ref);
	say_raw(s, l, text, strlen(text));
	l->has_joined = true;
	s->stats.joins++;
	say_init(s, l);
}

static void on_heartbeat(struct stub *s, struct line *l, uint64_t ref)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"ref\":%llu,\"payload\":{\"status\":\"ok\","
		 "\"response\":{}}}",
		 (unsigned long long)ref);
	say_raw(s, l, text, strlen(text));
}

static void on_text(struct stub *s, struct line *l, const char *text, size_t len)
{
	struct jv *v;
	const struct jv *payload;
	const char *event;
	uint64_t ref = 0;

	if (jv_parse(text, len, &v) != JV_OK)
		abort();
	event = jv_str(jv_get(v, "event"));
	payload = jv_get(v, "payload");
	(void)jv_u64(jv_get(v, "ref"), &ref);
	if (strcmp(event, "phx_join") == 0)
		on_join(s, l, ref);
	else if (strcmp(event, "heartbeat") == 0)
		on_heartbeat(s, l, ref);
	else if (strcmp(event, "request_authorization") == 0)
		on_request(s, l, payload);
	else if (strcmp(event, "authorization_created") == 0)
		on_acknowledged(s, l, payload);
	else if (strstr(event, "invalidate") != NULL)
		on_candidates(s, l, payload, true);
	else if (strstr(event, "candidates") != NULL)
		on_candidates(s, l, payload, false);
	else if (strcmp(event, "no_relays") == 0)
		on_no_relays(s, l);
	jv_free(v);
}

/* ---- bytes ---- */

static void upgrade(struct stub *s, struct line *l)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char *end = strstr((char *)l->inbox, "\r\n\r\n"), *key = strstr((char *)l->inbox, "-WebSocket-Key: "),
	     *at = strstr((char *)l->inbox, "external_id="), accept[32], text[300];
	uint8_t digest[20];

	if (end == NULL)
		return;
	if (key == NULL || at == NULL || crypto_sha1(key + 16, 24, guid, 36, digest) != 0)
		abort();
	l->is_gateway = at[12] == 'g';
	l->number = (unsigned)strtoul(at + 13, NULL, 10);
	at = strstr((char *)l->inbox, "public_key=") + 11;
	for (size_t i = 0; i < 44; i++) {
		if (*at == '%') {
			char hex[3] = { at[1], at[2], '\0' };
			l->key[i] = (char)strtoul(hex, NULL, 16);
			at += 3;
		} else {
			l->key[i] = *at++;
		}
	}
	fz_b64_encode(accept, digest, sizeof(digest));
	snprintf(text, sizeof(text),
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n\r\n",
		 accept);
	l->inbox_len = 0; /* nothing may follow before our answer */
	l->has_upgraded = true;
	s->send(s->ctx, (unsigned)(l - s->lines), text, strlen(text));
}

/* One frame of the device, masked. False: not complete yet. */
static bool read_frame(struct stub *s, struct line *l)
{
	uint8_t *b = l->inbox;
	size_t len, head = 2;
	static char text[INBOX_MAX];

	if (l->inbox_len < 8)
		return false;
	len = b[1] & 0x7f;
	if (len == 127)
		abort();
	if (len == 126) {
		len = (size_t)b[2] << 8 | b[3];
		head = 4;
	}
	if (l->inbox_len < head + 4 + len)
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(b[head + 4 + i] ^ b[head + i % 4]);
	text[len] = '\0';
	bool is_text = (b[0] & 15) == 1;
	l->inbox_len -= head + 4 + len;
	memmove(b, b + head + 4 + len, l->inbox_len);
	if (is_text)
		on_text(s, l, text, len);
	return true;
}

bool stub_open(struct stub *s, unsigned line)
{
	if (s->is_down)
		return false;
	uint8_t *inbox = s->lines[line].inbox;

	if (inbox == NULL && (inbox = malloc(INBOX_MAX)) == NULL)
		abort();
	s->lines[line] = (struct line){ .is_open = true, .inbox = inbox };
	return true;
}

void stub_bytes(struct stub *s, unsigned line, const void *data, size_t len)
{
	struct line *l = &s->lines[line];

	if (!l->is_open)
		return;
	if (l->inbox_len + len >= INBOX_MAX)
		abort();
	memcpy(l->inbox + l->inbox_len, data, len);
	l->inbox_len += len;
	l->inbox[l->inbox_len] = '\0';
	if (!l->has_upgraded)
		upgrade(s, l);
	else
		while (l->is_open && read_frame(s, l))
			;
}

void stub_close(struct stub *s, unsigned line)
{
	s->lines[line].is_open = s->lines[line].has_joined = false;
}

void stub_set_down(struct stub *s, bool is_down)
{
	s->is_down = is_down;
	for (unsigned i = 0; i < STUB_LINES_MAX && is_down; i++) {
		if (!s->lines[i].is_open)
			continue;
		stub_close(s, i);
		s->send(s->ctx, i, NULL, 0);
	}
}

/* ---- administration ---- */

static void tell_relays(struct stub *s, const char *gone)
{
	static struct text t;

	for (unsigned k = 0; k < 2; k++) {
		t.len = 0;
		add(&t, "{\"disconnected_ids\":[%s],\"connected\":[", gone);
		add_relays(&t, s, k == 1);
		add(&t, "]}");
		stub_say(s, k == 1, "relays_presence", t.v);
	}
}

void stub_add_relay(struct stub *s, unsigned n, const struct fz_addr *addr4, const struct fz_addr *addr6,
		    const char *username, const char *password)
{
	struct turn *r = &s->relays[n];

	*r = (struct turn){ .exists = true, .addr4 = *addr4, .addr6 = *addr6 };
	snprintf(r->username, sizeof(r->username), "%s", username);
	snprintf(r->password, sizeof(r->password), "%s", password);
	tell_relays(s, "");
}

void stub_limit_relay(struct stub *s, unsigned n, char role)
{
	s->relays[n].hidden_from = role == 'c' ? 'g' : 'c';
}

void stub_remove_relay(struct stub *s, unsigned n)
{
	char id[37], quoted[40];

	s->relays[n].exists = false;
	snprintf(quoted, sizeof(quoted), "\"%s\"", stub_id('b', n, id));
	tell_relays(s, quoted);
}

static void tell_resource(struct stub *s, unsigned n)
{
	static struct text t;
	const struct resource *r = &s->resources[n];

	for (unsigned k = 0; k < 2; k++) {
		if (k == 1 && strcmp(r->type, "internet") == 0)
			continue;
		t.len = 0;
		add_resource(&t, r, n, k == 1);
		stub_say(s, k == 1, k == 1 ? "resource_updated" : "resource_created_or_updated", t.v);
	}
}

static void set_resource(struct stub *s, unsigned n, const char *type, const char *address, const char *stack,
			 const char *filters)
{
	struct resource *r = &s->resources[n];

	r->exists = true;
	r->type = type;
	if (r->site == 0)
		r->site = 1;
	snprintf(r->address, sizeof(r->address), "%s", address);
	snprintf(r->stack, sizeof(r->stack), "%s", stack ? stack : "");
	snprintf(r->filters, sizeof(r->filters), "%s", filters);
	tell_resource(s, n);
}

void stub_set_resource(struct stub *s, unsigned n, const char *cidr, const char *filters)
{
	set_resource(s, n, "cidr", cidr, NULL, filters);
}

void stub_set_names(struct stub *s, unsigned n, const char *pattern, const char *stack, const char *filters)
{
	set_resource(s, n, "dns", pattern, stack, filters);
}

void stub_set_internet(struct stub *s, unsigned n)
{
	set_resource(s, n, "internet", "", NULL, "[]");
}

void stub_move_resource(struct stub *s, unsigned n, unsigned site)
{
	s->resources[n].site = site;
	tell_resource(s, n);
}

void stub_set_interface(struct stub *s, const char *members)
{
	static struct text t;

	snprintf(s->interface, sizeof(s->interface), "%s", members);
	for (size_t i = 0; i < STUB_LINES_MAX; i++) {
		if (!s->lines[i].has_joined || s->lines[i].is_gateway)
			continue;
		t.len = 0;
		add(&t, "{");
		add_interface(&t, s, &s->lines[i]);
		add(&t, "}");
		say(s, &s->lines[i], "config_changed", t.v);
	}
}

static void forget_grants(struct stub *s, unsigned client, unsigned resource)
{
	static struct text t;
	char a[37], b[37];

	for (size_t i = s->n_grants; i-- > 0;) {
		const struct grant g = s->grants[i];
		if (g.resource != resource || (client != 0 && g.client != client))
			continue;
		s->grants[i] = s->grants[--s->n_grants];
		t.len = 0;
		add(&t, "{\"client_id\":\"%s\",\"resource_id\":\"%s\"}", stub_id('c', g.client, a),
		    stub_id('5', g.resource, b));
		stub_say(s, true, "reject_access", t.v);
	}
}

void stub_remove_resource(struct stub *s, unsigned n)
{
	char id[37], quoted[40];

	s->resources[n].exists = false;
	snprintf(quoted, sizeof(quoted), "\"%s\"", stub_id('5', n, id));
	stub_say(s, false, "resource_deleted", quoted);
	forget_grants(s, 0, n);
}

void stub_revoke(struct stub *s, unsigned client, unsigned resource)
{
	forget_grants(s, client, resource);
}

void stub_set_expiry(struct stub *s, uint64_t unix_s)
{
	s->expires_s = unix_s;
}

void stub_set_refusal(struct stub *s, const char *reason)
{
	s->refusal = reason;
}

void stub_set_flow_logs(struct stub *s, const char *api_url, unsigned interval_s, const char *client_token,
			const char *gateway_token)
{
	snprintf(s->flow_url, sizeof(s->flow_url), "%s", api_url);
	snprintf(s->client_token, sizeof(s->client_token), "%s", client_token);
	snprintf(s->gateway_token, sizeof(s->gateway_token), "%s", gateway_token);
	s->flow_interval_s = interval_s;
}

void stub_set_silent(struct stub *s, bool is_silent)
{
	s->is_silent = is_silent;
}
