/* SPDX-License-Identifier: Apache-2.0 */
/* Random histories of grants, filters, expiry and announced names against a twin that is slow and
 * obvious. */
#include "unit.h"

#include "core/grants.h"
#include "core/proxies.h"

enum { RESOURCES = 24, FILTERS = 10, RULES = 4, NAMES = 4, OPERATIONS = 100000 };

static uint64_t state;

static unsigned rnd(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

static const char *const nets[] = { "10.0.0.0/8",   "10.20.0.0/16", "10.20.1.0/24",
				    "10.20.1.7/32", "0.0.0.0/0",    "198.51.100.0/24",
				    "fd00:1::/64",  "::/0",         "2001:db8::/32" };
static const char *const addrs[] = { "10.20.1.7",   "10.20.1.8", "10.20.9.9",   "10.9.9.9",  "198.51.100.7",
				     "203.0.113.9", "fd00:1::5", "2001:db8::1", "127.0.0.1", "100.96.0.3" };
static const char *const domains[NAMES] = { "a.example.com", "b.example.com", "c.example.net",
					    "A.Example.COM" };

static struct portal_filter rules[FILTERS][RULES];
static size_t rules_len[FILTERS];

struct twin {
	bool lives, listed;
	enum portal_resource_type type;
	struct fz_prefix net;
	unsigned filter;
	uint64_t expires_s;
	/* Names: which proxies lead here, kept while the grant is away. */
	bool proxies[8];
};
static struct twin twins[RESOURCES];

static struct fz_uuid id_of(unsigned i)
{
	return (struct fz_uuid){ { [15] = (uint8_t)i, [0] = (uint8_t)(i * 37) } };
}

static unsigned index_of(const struct fz_uuid *id)
{
	return id->b[15];
}

static void make_filters(void)
{
	for (unsigned f = 0; f < FILTERS; f++) {
		rules_len[f] = f == 0 ? 0 : 1 + rnd(RULES);
		for (unsigned i = 0; i < rules_len[f]; i++) {
			uint16_t start = (uint16_t)rnd(100);
			rules[f][i] = (struct portal_filter){ (enum portal_proto)rnd(3), start,
							      (uint16_t)(start + rnd(30)) };
		}
	}
}

static bool twin_permits(unsigned filter, uint8_t kind, uint16_t port)
{
	for (size_t i = 0; i < rules_len[filter]; i++) {
		const struct portal_filter *r = &rules[filter][i];
		bool in = port >= r->start && port <= r->end;
		if ((r->proto == PORTAL_PROTO_ICMP && (kind == IP_ICMP_ECHO || kind == IP_ICMP_OTHER)) ||
		    (r->proto == PORTAL_PROTO_TCP && kind == IP_TCP && in) ||
		    (r->proto == PORTAL_PROTO_UDP && kind == IP_UDP && in))
			return true;
	}
	return rules_len[filter] == 0;
}

static bool is_greater(unsigned a, unsigned b)
{
	struct fz_uuid x = id_of(a), y = id_of(b);

	return fz_uuid_compare(&x, &y) > 0;
}

/* Resource by which it passes, or minus the verdict. */
static int twin_check(const char *text, const struct fz_ip *ip, uint8_t kind, uint16_t port)
{
	static const char *const refused_by_internet[] = { "10.20.1.7", "10.20.1.8", "10.20.9.9",
							   "10.9.9.9",  "fd00:1::5", "127.0.0.1" };
	int best = -1, internet = -1;
	bool covered = false;

	if (strncmp(text, "100.96", 6) == 0)
		return -(int)GRANT_PROHIBITED;
	for (unsigned i = 0; i < RESOURCES; i++) {
		const struct twin *w = &twins[i];
		if (!w->lives)
			continue;
		if (w->type == PORTAL_RESOURCE_INTERNET)
			internet = (int)i;
		if (w->type != PORTAL_RESOURCE_CIDR || !fz_prefix_contains(&w->net, ip))
			continue;
		covered = true;
		if (twin_permits(w->filter, kind, port) &&
		    (best < 0 || w->net.len > twins[best].net.len ||
		     (w->net.len == twins[best].net.len && is_greater(i, (unsigned)best))))
			best = (int)i;
	}
	if (best >= 0)
		return best;
	if (internet < 0)
		return -(int)GRANT_PROHIBITED;
	for (size_t i = 0; i < sizeof(refused_by_internet) / sizeof(*refused_by_internet); i++)
		if (strcmp(text, refused_by_internet[i]) == 0)
			return covered ? -(int)GRANT_PROHIBITED : -(int)GRANT_UNREACHABLE;
	return internet;
}

static struct portal_resource describe(unsigned i, unsigned filter)
{
	struct portal_resource r = { .id = id_of(i),
				     .filters = rules[filter],
				     .filters_len = rules_len[filter] };

	/* One in eight is for names, the last one is the Internet. */
	r.type = i == RESOURCES - 1 ? PORTAL_RESOURCE_INTERNET
		 : i % 8 == 0       ? PORTAL_RESOURCE_DNS
				    : PORTAL_RESOURCE_CIDR;
	if (r.type == PORTAL_RESOURCE_DNS)
		r.address = "*.example.com";
	if (r.type == PORTAL_RESOURCE_CIDR)
		ck_assert_int_eq(fz_prefix_parse(nets[rnd(sizeof(nets) / sizeof(*nets))], &r.net), 0);
	if (r.type == PORTAL_RESOURCE_INTERNET)
		r.filters_len = 0;
	return r;
}

static struct fz_ip proxy_ip(unsigned i)
{
	return (struct fz_ip){ FZ_FAMILY_INET, { 100, 96, 0, (uint8_t)(1 + i) } };
}

/* ---- what may happen ---- */

static struct unit_env u;
static struct grants g;
static struct proxies p;
static unsigned named; /* domain of all proxies */
static bool any_named;

static void grant(uint64_t now_s)
{
	unsigned i = rnd(RESOURCES), filter = rnd(FILTERS);
	struct portal_resource r = describe(i, filter);
	struct twin *w = &twins[i];
	uint64_t expires_s = now_s + rnd(40);

	ck_assert_int_eq(grants_upsert(&g, &r, expires_s), 0);
	if (!w->lives)
		w->net = r.net;
	w->lives = true;
	w->listed = false;
	w->type = r.type;
	w->filter = r.filters_len ? filter : 0;
	w->expires_s = expires_s;
}

static void revoke(void)
{
	unsigned i = rnd(RESOURCES);
	struct fz_uuid id = id_of(i);

	ck_assert(grants_remove(&g, &id) == twins[i].lives);
	twins[i].lives = false;
}

static void refilter(void)
{
	unsigned i = rnd(RESOURCES), filter = rnd(FILTERS);
	struct portal_resource r = describe(i, filter);

	ck_assert_int_eq(grants_set_filters(&g, &r), twins[i].lives ? 0 : FZ_ERR_NOT_FOUND);
	if (twins[i].lives)
		twins[i].filter = r.filters_len ? filter : 0;
}

static void expire(uint64_t now_s)
{
	uint64_t next = GRANT_FOREVER;
	struct fz_uuid id;

	while (grants_expire(&g, now_s, &id)) {
		ck_assert(twins[index_of(&id)].lives && twins[index_of(&id)].expires_s <= now_s);
		twins[index_of(&id)].lives = false;
	}
	for (unsigned i = 0; i < RESOURCES; i++) {
		ck_assert(!twins[i].lives || twins[i].expires_s > now_s);
		if (twins[i].lives && twins[i].expires_s < next)
			next = twins[i].expires_s;
	}
	ck_assert_uint_eq(grants_next_expiry(&g), next);
}

static void reconcile(uint64_t now_s)
{
	struct fz_uuid id;

	for (unsigned i = 0; i < RESOURCES; i++) {
		uint64_t at = now_s + rnd(40);
		id = id_of(i);
		twins[i].listed = rnd(4) > 0;
		if (!twins[i].listed)
			continue;
		grants_list(&g, &id, at);
		if (twins[i].lives)
			twins[i].expires_s = at;
	}
	while (grants_remove_unlisted(&g, &id)) {
		ck_assert(twins[index_of(&id)].lives && !twins[index_of(&id)].listed);
		twins[index_of(&id)].lives = false;
	}
	for (unsigned i = 0; i < RESOURCES; i++)
		ck_assert(!twins[i].lives || twins[i].listed);
}

static void announce(void)
{
	unsigned i = rnd(3) * 8, which = rnd(NAMES), first = rnd(6);
	struct fz_ip ips[2] = { proxy_ip(first), proxy_ip(first + 1) };
	struct fz_uuid id = id_of(i);
	struct grant *grant = grants_find(&g, &id);
	struct dns_name name;
	bool other = false;

	ck_assert_int_eq(dns_name_parse(domains[which], &name), 0);
	for (unsigned k = 0; k < RESOURCES; k++)
		other |= any_named && (twins[k].proxies[first] || twins[k].proxies[first + 1]) &&
			 named % 3 != which % 3;
	ck_assert(proxies_conflict(&p, &name, ips, 2) == other);
	if (other || (any_named && named % 3 != which % 3)) {
		proxies_clear(&p);
		for (unsigned k = 0; k < RESOURCES; k++)
			memset(twins[k].proxies, 0, sizeof(twins[k].proxies));
	}
	ck_assert((grant != NULL) == twins[i].lives);
	if (grant == NULL)
		return;
	ck_assert_int_eq(proxies_assign(&p, grant, domains[which], ips, 2, NULL, 0), 0);
	named = which;
	any_named = true;
	twins[i].proxies[first] = twins[i].proxies[first + 1] = true;
}

static void check(void)
{
	const char *text = addrs[rnd(sizeof(addrs) / sizeof(*addrs))];
	uint8_t kind = (uint8_t)rnd(IP_OTHER + 1);
	uint16_t port = (uint16_t)rnd(130);
	const struct fz_uuid *resource = NULL;
	enum grant_verdict got;
	struct fz_ip ip;
	int want;

	ck_assert_int_eq(fz_ip_parse(text, &ip), 0);
	want = twin_check(text, &ip, kind, port);
	got = grants_check(&g, &ip, kind, port, &resource);
	if (want < 0)
		ck_assert_int_eq((int)got, -want);
	else
		ck_assert_int_eq((int)index_of(resource), want);
}

static void check_name(void)
{
	unsigned n = rnd(8);
	struct fz_ip ip = proxy_ip(n);
	const struct proxy *x = proxies_find(&p, &ip);
	uint8_t kind = (uint8_t)rnd(IP_OTHER + 1);
	uint16_t port = (uint16_t)rnd(130);
	const struct grant *got = x ? proxy_permits(x, kind, port) : NULL;
	int want = -1;

	for (unsigned i = 0; i < RESOURCES; i++)
		if (twins[i].lives && twins[i].proxies[n] && twin_permits(twins[i].filter, kind, port) &&
		    (want < 0 || is_greater(i, (unsigned)want)))
			want = (int)i;
	ck_assert((got == NULL) == (want < 0));
	if (got)
		ck_assert_int_eq((int)index_of(&got->resource), want);
}

START_TEST(a19_15_histories)
{
	uint64_t now_s = 1000;

	state = (uint64_t)_i + 1;
	memset(twins, 0, sizeof(twins));
	any_named = false;
	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	proxies_init(&p, &g);
	make_filters();
	for (unsigned n = 0; n < OPERATIONS; n++) {
		switch (rnd(16)) {
		case 0:
		case 1:
			grant(now_s);
			break;
		case 2:
			revoke();
			break;
		case 3:
			refilter();
			break;
		case 4:
			now_s += rnd(6);
			expire(now_s);
			break;
		case 5:
			if (rnd(8) == 0)
				reconcile(now_s);
			break;
		case 6:
			announce();
			break;
		case 7:
		case 8:
		case 9:
			check_name();
			break;
		default:
			check();
			break;
		}
	}
	proxies_clear(&p);
	grants_clear(&g);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("grant_histories");
	TCase *tc = tcase_create("histories");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a19_15_histories, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}
