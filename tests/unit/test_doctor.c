/* SPDX-License-Identifier: Apache-2.0 */
/* The verdicts of the doctor about hosts, names and clock, on a platform that answers as it is told. What
 * needs sockets and relays is tried in the laboratory. */
#include "unit.h"

#include <stdio.h>

#include "fzconn/diag.h"

#define HOSTS 7
#define NOWHERE HOSTS
#define NOW_S 1700000000u

static struct {
	uint64_t now_us;
	int name_err[HOSTS + 1], http_err[HOSTS];
	uint64_t date_s;
	bool is_silent; /* answers nothing at all */
	uint64_t names, pages, cancelled; /* bits: asked, not answered yet; cancelled */
} world;

static uint64_t now_us(void *p)
{
	(void)p;
	return world.now_us;
}

static uint64_t unix_ns(void *p)
{
	(void)p;
	return NOW_S * UINT64_C(1000000000);
}

static int wait_until(void *p, uint64_t until_us, uint32_t *ret)
{
	(void)p;
	*ret = FZ_READY_DNS | FZ_READY_HTTP;
	world.now_us = world.is_silent ? until_us : world.now_us + 1000;
	return 0;
}

static int resolve(void *p, uint64_t id, const char *name)
{
	(void)p;
	ck_assert_uint_le(id, NOWHERE);
	ck_assert_ptr_nonnull(strchr(name, '.'));
	world.names |= 1u << id;
	return 0;
}

static uint64_t take_bit(uint64_t *bits)
{
	uint64_t i = 0;

	while (!(*bits & 1u << i))
		i++;
	*bits &= ~(1u << i);
	return i;
}

static bool resolved(void *p, struct fz_resolved *ret)
{
	static const struct fz_ip ip = { FZ_FAMILY_INET, { 192, 0, 2, 1 } };

	(void)p;
	if (world.names == 0 || world.is_silent)
		return false;
	*ret = (struct fz_resolved){ .id = take_bit(&world.names), .addrs = &ip, .len = 1 };
	ret->err = world.name_err[ret->id];
	return true;
}

static int http_start(void *p, const struct fz_http_request *r)
{
	(void)p;
	ck_assert_uint_lt(r->id, HOSTS);
	ck_assert_str_eq(r->method, "GET");
	world.pages |= 1u << r->id;
	return 0;
}

static bool http_result(void *p, struct fz_http_result *ret)
{
	(void)p;
	if (world.pages == 0 || world.is_silent)
		return false;
	*ret = (struct fz_http_result){
		.id = take_bit(&world.pages), .status = 200, .date_s = world.date_s, .error = ""
	};
	ret->err = world.http_err[ret->id];
	if (ret->err)
		ret->error = "could not \x1b connect";
	return true;
}

static void http_cancel(void *p, uint64_t id)
{
	(void)p;
	world.cancelled |= 1u << id;
}

static int udp_open(void *p, uint16_t port)
{
	(void)p;
	(void)port;
	return FZ_ERR_PERM;
}

static const struct fz_platform_ops ops = {
	.version = FZ_PLATFORM_VERSION,
	.now_us = now_us,
	.unix_ns = unix_ns,
	.wait = wait_until,
	.resolve = resolve,
	.resolved = resolved,
	.http_start = http_start,
	.http_result = http_result,
	.http_cancel = http_cancel,
	.udp_open = udp_open,
};
static const struct fz_platform platform = { &ops, NULL };

static void fresh(void)
{
	memset(&world, 0, sizeof(world));
	world.date_s = NOW_S;
	world.name_err[NOWHERE] = FZ_ERR_NOT_FOUND;
}

static const struct fz_check *examine(struct fz_report *r, const char *name)
{
	const struct fz_doctor_opts o = { .size = sizeof(o), .role = FZ_PORTAL_CLIENT };

	ck_assert_int_eq(fz_doctor_run(NULL, &platform, &o, r), 0);
	for (size_t i = 0; i < r->len; i++)
		if (strcmp(r->checks[i].name, name) == 0)
			return &r->checks[i];
	ck_abort_msg("no row \"%s\"", name);
}

/* Rows that are complained of. */
static unsigned complaints(const struct fz_report *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->len; i++)
		n += r->checks[i].verdict >= FZ_CHECK_NOTE;
	return n;
}

START_TEST(all_well)
{
	static struct fz_report r;

	fresh();
	ck_assert_int_eq(examine(&r, "api.firezone.dev:443")->verdict, FZ_CHECK_OK);
	ck_assert_int_eq(examine(&r, "clock")->verdict, FZ_CHECK_OK);
	ck_assert_int_eq(examine(&r, "control plane")->verdict, FZ_CHECK_SKIPPED);
	ck_assert_uint_eq(complaints(&r), 0);
	ck_assert_int_eq(r.worst, FZ_CHECK_SKIPPED);
}
END_TEST

START_TEST(one_host)
{
	static const struct {
		const char *name;
		enum fz_check_verdict want;
	} rows[HOSTS] = {
		{ "app.firezone.dev:443", FZ_CHECK_WARN },      { "api.firezone.dev:443", FZ_CHECK_FAIL },
		{ "flow-api.firezone.dev:443", FZ_CHECK_WARN }, { "sentry.firezone.dev:443", FZ_CHECK_NOTE },
		{ "posthog.firezone.dev:443", FZ_CHECK_NOTE },  { "github.com:443", FZ_CHECK_WARN },
		{ "www.firezone.dev:443", FZ_CHECK_WARN },
	};
	static struct fz_report r;

	for (unsigned i = 0; i < HOSTS; i++) {
		for (int by_name = 0; by_name < 2; by_name++) {
			const struct fz_check *c;
			fresh();
			world.http_err[i] = FZ_ERR_IO;
			if (by_name)
				world.name_err[i] = FZ_ERR_NOT_FOUND;
			c = examine(&r, rows[i].name);
			ck_assert_int_eq(c->verdict, rows[i].want);
			ck_assert(by_name == (strstr(c->what, "cannot be resolved") != NULL));
			ck_assert_ptr_null(strchr(c->what, '\x1b'));
			ck_assert_uint_gt(strlen(c->remedy), 0);
			ck_assert_uint_eq(complaints(&r), 1);
			ck_assert_int_eq(r.worst, rows[i].want);
		}
	}
	fresh();
	world.http_err[0] = FZ_ERR_NOSPACE; /* a page longer than we want to read */
	ck_assert_int_eq(examine(&r, rows[0].name)->verdict, FZ_CHECK_OK);
}
END_TEST

START_TEST(names)
{
	static struct fz_report r;

	fresh();
	world.name_err[NOWHERE] = 0;
	ck_assert_int_eq(examine(&r, "name servers")->verdict, FZ_CHECK_WARN);
	ck_assert_uint_eq(complaints(&r), 1);
	fresh();
	for (unsigned i = 0; i < HOSTS; i++)
		world.name_err[i] = world.http_err[i] = FZ_ERR_TIMEOUT;
	ck_assert_int_eq(examine(&r, "name servers")->verdict, FZ_CHECK_FAIL);
	ck_assert_uint_eq(complaints(&r), 1);
}
END_TEST

START_TEST(clocks)
{
	static const int64_t off[] = { -3600, -31, -30, 0, 30, 31, 86400 };
	static struct fz_report r;

	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++) {
		const struct fz_check *c;
		fresh();
		world.date_s = (uint64_t)((int64_t)NOW_S + off[i]);
		c = examine(&r, "clock");
		ck_assert_int_eq(c->verdict, off[i] < -30 || off[i] > 30 ? FZ_CHECK_WARN : FZ_CHECK_OK);
		ck_assert(off[i] <= 0 || strstr(c->what, "behind"));
	}
	fresh();
	world.date_s = 0;
	ck_assert_int_eq(examine(&r, "clock")->verdict, FZ_CHECK_SKIPPED);
}
END_TEST

START_TEST(silence)
{
	static struct fz_report r;

	fresh();
	world.is_silent = true;
	ck_assert_int_eq(examine(&r, "name servers")->verdict, FZ_CHECK_FAIL);
	ck_assert_uint_eq(world.cancelled, (1u << HOSTS) - 1);
	ck_assert_uint_le(world.now_us, 30000000);
}
END_TEST

START_TEST(no_socket)
{
	struct fz_addr relay = { .ip = { FZ_FAMILY_INET, { 192, 0, 2, 3 } }, .port = 3478 };
	struct fz_doctor_opts o = {
		.size = sizeof(o), .role = FZ_PORTAL_GATEWAY, .relays = &relay, .relays_len = 1
	};
	static struct fz_report r;

	fresh();
	ck_assert_int_eq(fz_doctor_run(NULL, &platform, &o, &r), 0);
	ck_assert_str_eq(r.checks[r.len - 1].name, "relays, UDP 3478");
	ck_assert_int_eq(r.worst, FZ_CHECK_FAIL);
}
END_TEST

START_TEST(options)
{
	struct fz_doctor_opts o = { .size = sizeof(o) };
	static struct fz_report r;

	ck_assert_int_eq(fz_doctor_run(NULL, &platform, NULL, &r), FZ_ERR_INVAL);
	ck_assert_int_eq(fz_doctor_run(NULL, &platform, &o, &r), FZ_ERR_INVAL);
	o.role = FZ_PORTAL_CLIENT;
	o.token = "t";
	ck_assert_int_eq(fz_doctor_run(NULL, &platform, &o, &r), FZ_ERR_INVAL);
	o.token = NULL;
	o.api_url = "ftp://x";
	ck_assert_int_eq(fz_doctor_run(NULL, &platform, &o, &r), FZ_ERR_INVAL);
	o.size = 3;
	ck_assert_int_lt(fz_doctor_run(NULL, &platform, &o, &r), 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("doctor");

	unit_case(s, "verdicts", all_well, one_host, names, clocks, silence, no_socket, options);
	return s;
}
