/* SPDX-License-Identifier: Apache-2.0 */
/* The client's choice of a resource against a slow and obvious twin: 100,000 random operations that add,
 * replace and remove resources with overlapping networks and patterns, look names up, switch the Internet on
 * and off, and ask where packets belong. */
#include "unit.h"

#include <stdio.h>

#include "base/addr.h"
#include "core/resource.h"

#define OPERATIONS 100000
#define IDS 24
#define NAMES 12

static struct unit_env u;
static struct resources lib;

/* ---- the twin ---- */

struct rule {
	int proto; /* enum portal_proto */
	unsigned start, end;
};

static struct twin {
	bool exists;
	enum portal_resource_type type;
	enum portal_ip_stack stack;
	struct fz_prefix net;
	const char *pattern;
	struct rule rules[3];
	size_t rules_len;
} twins[IDS + 1]; /* by id, from 1 */

/* Names that were looked up, in this order, with the ids and patterns that they had then. */
static struct name {
	char text[32];
	bool uses[IDS + 1];
	const char *patterns[IDS + 1];
} names[NAMES];
static size_t names_len;
static bool internet_on;

static const char *const patterns[] = { "a.x",   "b.x",  "*.x",    "**.x",  "?.x",   "a.b.x",
					"*.b.x", "c*.x", "**.b.x", "*.*.x", "a.?.x", "?b.x" };

/* Does it match? Labels from the front, as a person would do it. */
static bool match_label(const char *p, size_t p_len, const char *s, size_t s_len)
{
	if (p_len == 0)
		return s_len == 0;
	if (*p == '*') {
		for (size_t i = 0; i <= s_len; i++)
			if (match_label(p + 1, p_len - 1, s + i, s_len - i))
				return true;
		return false;
	}
	return s_len > 0 && (*p == '?' || *p == *s) && match_label(p + 1, p_len - 1, s + 1, s_len - 1);
}

static size_t label_len(const char *s)
{
	return strcspn(s, ".");
}

static const char *rest(const char *s)
{
	s += label_len(s);
	return *s ? s + 1 : s;
}

static bool match_labels(const char *p, const char *s)
{
	if (*p == '\0')
		return *s == '\0';
	if (strncmp(p, "**", 2) == 0 && label_len(p) == 2) {
		for (;; s = rest(s)) {
			if (match_labels(rest(p), s))
				return true;
			if (*s == '\0')
				return false;
		}
	}
	return *s && match_label(p, label_len(p), s, label_len(s)) && match_labels(rest(p), rest(s));
}

static bool matches(const char *p, const char *s)
{
	return match_labels(p, s) || (strncmp(p, "*.", 2) == 0 && strcmp(p + 2, s) == 0);
}

/* Greater = less specific; by the characters from the end. 0 stands for the end of the text. */
static int weight(char c)
{
	if (c == '*')
		return 1001;
	if (c == '?')
		return 1000;
	return c == '\0' ? 0 : 300 - c;
}

static bool is_more_specific(const char *a, const char *b)
{
	size_t i = strlen(a), k = strlen(b);

	for (;;) {
		char x = i > 0 ? a[--i] : '\0', y = k > 0 ? b[--k] : '\0';
		if (x != y)
			return weight(x) < weight(y);
		if (x == '\0')
			return false;
	}
}

static bool permits(const struct twin *t, uint8_t kind, unsigned port)
{
	for (size_t i = 0; i < t->rules_len; i++) {
		const struct rule *r = &t->rules[i];
		if (r->proto == PORTAL_PROTO_ICMP
			    ? kind == IP_ICMP_ECHO
			    : kind == (r->proto == PORTAL_PROTO_TCP ? IP_TCP : IP_UDP) && port >= r->start &&
				      port <= r->end)
			return true;
	}
	return t->rules_len == 0;
}

static bool has_family(const struct twin *t, unsigned family)
{
	return t->stack == PORTAL_STACK_DUAL || (t->stack == PORTAL_STACK_IPV4_ONLY) == (family == 4);
}

struct verdict {
	unsigned id; /* 0 = none */
	bool permitted, wrong_family;
};

static struct verdict twin_name(size_t n, unsigned family, uint8_t kind, unsigned port)
{
	struct verdict best = { 0 };

	for (unsigned id = 1; id <= IDS; id++) {
		const struct twin *t = &twins[id], *b = &twins[best.id];
		if (!names[n].uses[id] || !t->exists || t->type != PORTAL_RESOURCE_DNS)
			continue;
		if (!has_family(t, family)) {
			best.wrong_family = true;
			continue;
		}
		bool ok = permits(t, kind, port);
		if (best.id == 0 || ok > best.permitted ||
		    (ok == best.permitted && !is_more_specific(b->pattern, t->pattern)))
			best = (struct verdict){ id, ok, best.wrong_family };
	}
	if (best.id)
		best.wrong_family = false;
	return best;
}

static struct verdict twin_network(const struct fz_ip *ip, uint8_t kind, unsigned port)
{
	struct verdict best = { 0 };

	for (unsigned id = 1; id <= IDS; id++) {
		const struct twin *t = &twins[id];
		if (!t->exists || t->type != PORTAL_RESOURCE_CIDR || !fz_prefix_contains(&t->net, ip))
			continue;
		bool ok = permits(t, kind, port);
		if (best.id == 0 || ok > best.permitted ||
		    (ok == best.permitted && t->net.len >= twins[best.id].net.len))
			best = (struct verdict){ id, ok, false };
	}
	return best;
}

static struct verdict twin_choice(const struct fz_ip *ip, int name, bool is_ours, uint8_t kind, unsigned port)
{
	struct verdict v = { 0 }, net;

	if (name >= 0)
		v = twin_name((size_t)name, ip->family, kind, port);
	if (v.id)
		return v;
	net = twin_network(ip, kind, port);
	if (net.id)
		return net;
	for (unsigned id = 1; id <= IDS && internet_on && !is_ours; id++)
		if (twins[id].exists && twins[id].type == PORTAL_RESOURCE_INTERNET)
			return (struct verdict){ id, true, false };
	return v;
}

/* ---- operations on both ---- */

static uint64_t state;

static unsigned rnd(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((state >> 33) % n);
}

static void random_net(struct fz_prefix *ret)
{
	static const uint8_t lens4[] = { 0, 8, 12, 16, 24, 32 }, lens6[] = { 0, 16, 48, 64, 127, 128 };
	char text[FZ_PREFIX_STRLEN];
	bool v4 = rnd(2) == 0;
	unsigned len = v4 ? lens4[rnd(6)] : lens6[rnd(6)];

	*ret = (struct fz_prefix){ { v4 ? FZ_FAMILY_INET : FZ_FAMILY_INET6, { 0 } }, (uint8_t)len };
	ret->ip.b[0] = v4 ? 10 : 0xfd;
	ret->ip.b[1] = (uint8_t)rnd(2);
	ret->ip.b[v4 ? 3 : 15] = (uint8_t)rnd(4);
	for (unsigned i = len; i < (v4 ? 32u : 128u); i++)
		ret->ip.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	ck_assert_int_eq(fz_prefix_parse(fz_prefix_format(ret, text), ret), 0);
}

static void remove_id(unsigned id)
{
	struct fz_uuid uuid = { { 0 } };
	struct resource *res;

	uuid.b[15] = (uint8_t)id;
	res = resources_find(&lib, &uuid);
	ck_assert((res != NULL) == twins[id].exists);
	if (res)
		resources_remove(&lib, res);
	twins[id].exists = false;
}

static void add_id(unsigned id)
{
	static const enum portal_resource_type types[] = { PORTAL_RESOURCE_DNS, PORTAL_RESOURCE_DNS,
							   PORTAL_RESOURCE_CIDR, PORTAL_RESOURCE_CIDR,
							   PORTAL_RESOURCE_INTERNET };
	struct portal_filter filters[3];
	struct portal_resource p = { .name = "r", .filters = filters };
	struct twin t = { .exists = true, .type = types[rnd(id == 1 ? 5 : 4)], .rules_len = rnd(3) };
	char text[FZ_PREFIX_STRLEN];
	struct resource *res;

	t.stack = rnd(3) ? PORTAL_STACK_DUAL : rnd(2) ? PORTAL_STACK_IPV4_ONLY : PORTAL_STACK_IPV6_ONLY;
	t.pattern = patterns[rnd(sizeof(patterns) / sizeof(patterns[0]))];
	random_net(&t.net);
	for (size_t i = 0; i < t.rules_len; i++) {
		t.rules[i] = (struct rule){ (int)rnd(3), rnd(4), 0 };
		t.rules[i].end = t.rules[i].start + rnd(3);
		filters[i] = (struct portal_filter){ (enum portal_proto)t.rules[i].proto,
						     (uint16_t)t.rules[i].start, (uint16_t)t.rules[i].end };
	}
	p.type = t.type;
	p.id.b[15] = (uint8_t)id;
	p.ip_stack = t.stack;
	p.net = t.net;
	p.filters_len = t.type == PORTAL_RESOURCE_INTERNET ? 0 : t.rules_len;
	p.address = t.type == PORTAL_RESOURCE_DNS ? t.pattern : fz_prefix_format(&t.net, text);
	remove_id(id);
	ck_assert_int_eq(resources_add(&lib, &p, &res), 0);
	twins[id] = t;
	/* The same id under another pattern is another resource: its names are forgotten. */
	for (size_t n = 0; n < names_len && t.type == PORTAL_RESOURCE_DNS; n++)
		if (names[n].uses[id] && strcmp(names[n].patterns[id], t.pattern) != 0)
			names[n].uses[id] = false;
}

static void look_up(void)
{
	static const char *const texts[NAMES] = { "a.x", "b.x",   "x",    "a.b.x", "c.b.x",   "cc.x",
						  "d.x", "a.c.x", "ab.x", "b.b.x", "q.r.b.x", "z.y.x" };
	const char *text = texts[rnd(NAMES)];
	struct proxy_domain *d;
	struct dns_name name;
	bool is_new;
	size_t n = 0;

	while (n < names_len && strcmp(names[n].text, text) != 0)
		n++;
	if (n == names_len)
		snprintf(names[names_len++].text, sizeof(names[0].text), "%s", text);
	ck_assert_int_eq(dns_name_parse(text, &name), 0);
	ck_assert_int_eq(proxy_ips_assign(lib.proxies, &name, &d), 0);
	for (unsigned id = 1; id <= IDS; id++) {
		struct fz_uuid uuid = { { 0 } };
		if (!twins[id].exists || twins[id].type != PORTAL_RESOURCE_DNS ||
		    !matches(twins[id].pattern, text))
			continue;
		uuid.b[15] = (uint8_t)id;
		ck_assert_int_eq(proxy_domain_use(lib.proxies, d, &uuid, twins[id].pattern, &is_new), 0);
		names[n].uses[id] = true;
		names[n].patterns[id] = twins[id].pattern;
	}
}

static void compare(unsigned op)
{
	static const uint8_t kinds[] = { IP_TCP, IP_UDP, IP_ICMP_ECHO };
	static const char *const tunnel[] = { "100.64.0.7", "fd00:2021:1111::9" };
	uint8_t kind = kinds[rnd(3)];
	unsigned port = rnd(6);
	struct fz_prefix net;
	bool is_ours = false;
	int name = -1;
	struct fz_ip ip;

	random_net(&net);
	ip = net.ip;
	if (rnd(2)) {
		unsigned n = rnd(NAMES + 2);
		ip = proxy_ip_at(rnd(2) ? FZ_FAMILY_INET : FZ_FAMILY_INET6, n, rnd(4));
		name = n < names_len ? (int)n : -1;
		is_ours = true;
	} else if (rnd(10) == 0) {
		ck_assert_int_eq(fz_ip_parse(tunnel[rnd(2)], &ip), 0);
		is_ours = true;
	}
	struct choice got = resources_choose(&lib, &ip, kind, (uint16_t)port);
	struct verdict want = twin_choice(&ip, name, is_ours, kind, port);
	char text[FZ_IP_STRLEN];
	unsigned id = got.res ? got.res->id.b[15] : 0;
	ck_assert_msg(id == want.id && (id == 0 || got.permitted == want.permitted) &&
			      got.wrong_family == want.wrong_family,
		      "operation %u, %s kind %u port %u: %u %d %d, twin %u %d %d", op,
		      fz_ip_format(&ip, text), kind, port, id, got.permitted, got.wrong_family, want.id,
		      want.permitted, want.wrong_family);
	ck_assert((got.domain != NULL) == (got.res && got.res->type == PORTAL_RESOURCE_DNS));
}

START_TEST(a11_5_choice_and_its_twin)
{
	struct proxy_ips *proxies;

	unit_env_init(&u, 1);
	state = 20261124;
	ck_assert_int_eq(proxy_ips_new(&u.env, NAMES, &proxies), 0);
	ck_assert_int_eq(resources_init(&lib, &u.env, proxies), 0);
	for (unsigned op = 0; op < OPERATIONS; op++) {
		unsigned what = rnd(20);
		if (what == 0)
			add_id(1 + rnd(IDS));
		else if (what == 1)
			remove_id(1 + rnd(IDS));
		else if (what == 2)
			look_up();
		else if (what == 3)
			lib.internet_on = internet_on = rnd(2);
		else
			compare(op);
	}
	resources_clear(&lib);
	proxy_ips_free(proxies);
	unit_env_check(&u);
}
END_TEST

/* The twin knows the patterns of the reference. */
START_TEST(the_twin_itself)
{
	static const char *const order[] = { "example.com",     "bar.example.com", "*.bar.example.com",
					     "foo.example.com", "?.example.com",   "*.example.com",
					     "**.example.com",  "*ample.com",      "*.com" };

	for (size_t i = 0; i < 9; i++)
		for (size_t k = 0; k < 9; k++)
			ck_assert_msg(is_more_specific(order[i], order[k]) == (i < k), "%s, %s", order[i],
				      order[k]);
	ck_assert(matches("**.example.com", "example.com") && matches("**.example.com", "a.b.example.com"));
	ck_assert(matches("*.example.com", "example.com") && !matches("*.example.com", "a.b.example.com"));
	ck_assert(matches("app.**.example.com", "app.example.com") &&
		  !matches("?.example.com", "example.com"));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("resource_twin");

	unit_case(suite, "twin", the_twin_itself, a11_5_choice_and_its_twin);
	return suite;
}
