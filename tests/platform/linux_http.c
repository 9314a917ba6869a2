/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP and DNS over HTTPS on Linux against https_server.py, whose certificate is the only root of this
 * process. */
#define _GNU_SOURCE
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "fzconn/platform.h"
#include "netns.h"

#define ADDRESS "127.0.0.5"
#define ROOTS "/etc/ssl/certs/ca-certificates.crt"
#define URL "https://doh.test"
enum { HEADER = 12 };

static struct unit_env env;
static struct fz_platform p;
static char dir[32];
static pid_t server;
static int server_in, server_out, fds_before;

static int count(const char *in)
{
	DIR *d = opendir(in);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the server ---- */

static void start_server(void)
{
	int in[2], out[2];
	char script[300], cert[64], key[64], byte;
	const char *source = getenv("PLATFORM_TESTS");

	snprintf(script, sizeof(script), "%s/https_server.py", source);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("python3", "python3", script, ADDRESS, cert, key, NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	server_in = in[1];
	server_out = out[0];
	ck_assert_int_eq(read(server_out, &byte, 1), 1);
}

static void stop_server(void)
{
	close(server_in);
	close(server_out);
	ck_assert_int_eq(waitpid(server, NULL, 0), server);
}

static void replace_file(const char *path, const char *by)
{
	ck_assert_msg(mount(by, path, NULL, MS_BIND, NULL) == 0, "cannot replace %s", path);
}

static void write_file(const char *name, const char *text, const char *over)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	replace_file(over, path);
}

static void set_up(void)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_watch = true };
	char command[400];

	netns_enter();
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	strcpy(dir, "/tmp/fz-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(mount("none", dir, "tmpfs", 0, NULL), 0);
	snprintf(
		command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test "
		"-addext subjectAltName=DNS:doh.test -keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
		dir, dir);
	netns_run(command);
	snprintf(command, sizeof(command), "%s/cert.pem", dir);
	replace_file(ROOTS, command);
	write_file("hosts",
		   "# 127.0.0.7 commented.test\n" ADDRESS " doh.test other.test # trailing.test\n"
		   "172.17.0.2\tcontainer42\nfe80::1 ip6-localnet container42\nnonsense\n"
		   "127.0.0.6 closed.test\n",
		   "/etc/hosts");
	write_file("resolv", "nameserver 127.0.0.9\n", "/etc/resolv.conf"); /* nobody is there */
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	start_server();
	unit_env_init(&env, 1);
	fds_before = count("/proc/self/fd");
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
}

static void tear_down(void)
{
	ck_assert_int_eq(count("/proc/self/task"), 3); /* one, and the two dots */
	fz_platform_free(&p);
	unit_env_check(&env);
	ck_assert_int_eq(count("/proc/self/fd"), fds_before);
	stop_server();
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static bool await(uint32_t bits)
{
	/* ends a hang; the test's own limit comes later */
	for (uint64_t end = p.ops->now_us(p.ctx) + FZ_SEC(20); p.ops->now_us(p.ctx) < end;) {
		uint32_t ready = 0;
		ck_assert_int_eq(p.ops->wait(p.ctx, end, &ready), 0);
		if (ready & bits)
			return true;
	}
	return false;
}

/* ---- DNS over HTTPS ---- */

static size_t make_query(uint8_t *m, uint16_t id)
{
	const uint8_t q[] = { (uint8_t)(id >> 8),
			      (uint8_t)id,
			      1,
			      0,
			      0,
			      1,
			      0,
			      0,
			      0,
			      0,
			      0,
			      0,
			      4,
			      'h',
			      'o',
			      's',
			      't',
			      4,
			      't',
			      'e',
			      's',
			      't',
			      0,
			      0,
			      1,
			      0,
			      1 };

	memcpy(m, q, sizeof(q));
	return sizeof(q);
}

static int ask(uint64_t id, const char *url, uint32_t timeout_ms)
{
	uint8_t m[64];
	size_t len = make_query(m, (uint16_t)(0x1100 + id));
	struct fz_dns_query q = { .size = sizeof(q),
				  .id = id,
				  .transport = FZ_DNS_HTTPS,
				  .url = url,
				  .data = m,
				  .len = len,
				  .timeout_ms = timeout_ms };

	return p.ops->dns_query(p.ctx, &q);
}

static struct fz_dns_answer get(void)
{
	struct fz_dns_answer r;

	ck_assert(await(FZ_READY_DNS));
	ck_assert(p.ops->dns_answer(p.ctx, &r));
	return r;
}

/* A whole exchange; the number of the connection that was used. */
static unsigned exchange(uint64_t id, const char *url)
{
	uint8_t m[64];
	size_t len = make_query(m, (uint16_t)(0x1100 + id));

	ck_assert_int_eq(ask(id, url, 0), 0);
	struct fz_dns_answer r = get();
	ck_assert_uint_eq(r.id, id);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.len, len + 1);
	m[2] |= 0x80;
	ck_assert_mem_eq(r.data, m, len);
	return r.data[len];
}

/* The server checks method, header, encoding and id. */
START_TEST(a7_9_get_with_base64url)
{
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	ck_assert_uint_eq(exchange(1, URL "/dns-query"), 1);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US); /* an idle connection costs nothing */
	ck_assert_uint_eq(exchange(2, URL "/dns-query"), 1);
	ck_assert_uint_eq(exchange(3, URL "/charset"), 1);
}
END_TEST

/* Published query and answer: one as text in the URL, the other unchanged but for the id. */
static void exchange_vector(const char *query, const char *url, const char *want)
{
	uint8_t m[64];
	struct fz_dns_query q = { .size = sizeof(q), .transport = FZ_DNS_HTTPS, .url = url, .data = m };

	q.len = unit_hex(m, sizeof(m), query);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
	struct fz_dns_answer r = get();
	ck_assert_int_eq(r.err, 0);
	unit_assert_hex(r.data, r.len, want);
}

START_TEST(a7_9_published_query)
{
	exchange_vector(
		"beef 0100000100000000000003777777076578616d706c6503636f6d0000010001", URL "/vector-text",
		"beef8180000100010000000003777777076578616d706c6503636f6d0000010001c00c001c000100000e7d0010"
		"20010db8abcd00120001000200030004");
}
END_TEST

START_TEST(a7_10_published_answer)
{
	exchange_vector(
		"cafe 0100000100000000000003777777076578616d706c6503636f6d00001c0001", URL "/vector-answer",
		"cafe8180000100010000000003777777076578616d706c6503636f6d00001c0001c00c001c000100000e7d0010"
		"20010db8abcd00120001000200030004");
}
END_TEST

START_TEST(a7_11_many_at_once)
{
	enum { N = 30 };
	bool seen[N] = { false };
	unsigned highest = 0;

	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(ask(i, URL "/dns-query", 20000), 0);
	for (unsigned i = 0; i < N;) {
		struct fz_dns_answer r;
		ck_assert(await(FZ_READY_DNS));
		while (p.ops->dns_answer(p.ctx, &r)) {
			ck_assert_int_eq(r.err, 0);
			ck_assert_uint_lt(r.id, N);
			ck_assert(!seen[r.id]);
			ck_assert_uint_eq(r.data[0] << 8 | r.data[1], 0x1100 + r.id);
			seen[r.id] = true;
			highest = r.data[r.len - 1] > highest ? r.data[r.len - 1] : highest;
			i++;
		}
	}
	ck_assert_uint_le(highest, 6); /* connections */
}
END_TEST

START_TEST(bad_answers_fail)
{
	static const struct {
		const char *url;
		int want;
	} cases[] = {
		{ URL "/bad-status", FZ_ERR_IO },
		{ URL "/nowhere", FZ_ERR_IO },
		{ URL "/bad-type", FZ_ERR_WIRE },
		{ URL "/no-type", FZ_ERR_WIRE },
		{ URL "/bad-answer", FZ_ERR_WIRE },
		{ "https://other.test/dns-query", FZ_ERR_IO }, /* name */
		{ "https://closed.test/", FZ_ERR_IO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(ask(i, cases[i].url, 0), 0);
		struct fz_dns_answer r = get();
		ck_assert_uint_eq(r.id, i);
		ck_assert_msg(r.err == cases[i].want, "%s: %d", cases[i].url, r.err);
	}
	ck_assert_int_eq(ask(1, "gopher://doh.test/", 0), FZ_ERR_INVAL);
	ck_assert_int_eq(ask(1, "https://", 0), FZ_ERR_INVAL);
	ck_assert_int_eq(ask(1, "", 0), FZ_ERR_INVAL);
}
END_TEST

/* The next query has a connection of its own: the one that was silent may be dead. */
START_TEST(silence_is_a_timeout)
{
	ck_assert_uint_eq(exchange(1, URL "/dns-query"), 1);
	ck_assert_int_eq(ask(2, URL "/silence", 300), 0);
	struct fz_dns_answer r = get();
	ck_assert_uint_eq(r.id, 2);
	ck_assert_int_eq(r.err, FZ_ERR_TIMEOUT);
	ck_assert_uint_eq(exchange(3, URL "/dns-query"), 2);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

START_TEST(names_that_nobody_knows)
{
	ck_assert_int_eq(ask(1, "https://unknown.test/", 200), 0);
	ck_assert_int_ne(get().err, 0);
}
END_TEST

START_TEST(a_closed_connection_is_replaced)
{
	ck_assert_uint_eq(exchange(1, URL "/once"), 1);
	ck_assert_uint_eq(exchange(2, URL "/dns-query"), 2);
	stop_server();
	start_server();
	ck_assert_uint_eq(exchange(3, URL "/dns-query"), 1);
}
END_TEST

START_TEST(a_network_change_begins_anew)
{
	struct fz_dns_answer r;

	ck_assert_uint_eq(exchange(1, URL "/dns-query"), 1);
	ck_assert_int_eq(ask(2, URL "/silence", 0), 0);
	for (int i = 0; i < 3; i++) {
		uint32_t ready;
		ck_assert_int_eq(p.ops->wait(p.ctx, 0, &ready), 0);
	}
	p.ops->ask_reset(p.ctx);
	r = get();
	ck_assert_uint_eq(r.id, 2);
	ck_assert_int_eq(r.err, FZ_ERR_IO);
	ck_assert_uint_ge(exchange(3, URL "/dns-query"), 2);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

/* ---- names ---- */

START_TEST(a7_13_hosts_file)
{
	static const struct {
		const char *name, *first; /* NULL = none */
		size_t len;
	} cases[] = {
		{ "other.test", ADDRESS, 1 },       { "DOH.test", ADDRESS, 1 },
		{ "container42", "172.17.0.2", 2 }, { "commented.test", NULL, 0 },
		{ "trailing.test", NULL, 0 },       { "nonsense", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fz_resolved r;
		struct fz_ip want;
		ck_assert_int_eq(p.ops->resolve(p.ctx, i, cases[i].name), 0);
		ck_assert(await(FZ_READY_DNS));
		ck_assert(p.ops->resolved(p.ctx, &r));
		ck_assert_uint_eq(r.id, i);
		ck_assert_uint_eq(r.len, cases[i].len);
		ck_assert_int_eq(r.err == 0, cases[i].first != NULL);
		if (r.err == 0) {
			ck_assert_int_eq(fz_ip_parse(cases[i].first, &want), 0);
			ck_assert(fz_ip_equal(&r.addrs[0], &want));
		}
	}
}
END_TEST

/* ---- HTTP ---- */

static struct fz_http_request request_of(uint64_t id, const char *method, const char *url)
{
	return (struct fz_http_request){
		.size = sizeof(struct fz_http_request), .id = id, .method = method, .url = url
	};
}

static struct fz_http_result result(void)
{
	struct fz_http_result r;

	ck_assert(await(FZ_READY_HTTP));
	ck_assert(p.ops->http_result(p.ctx, &r));
	return r;
}

START_TEST(post_carries_a_body)
{
	static const struct fz_http_header headers[] = { { "authorization", "Bearer secret" },
							 { "content-type", "application/json" } };
	static const char want[] = "Bearer secret application/json [] {\"a\":1}";
	struct fz_http_request q = request_of(9, "POST", URL "/echo");

	q.headers = headers;
	q.headers_len = 2;
	q.body = "{\"a\":1}";
	q.body_len = 7;
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	struct fz_http_result r = result();
	ck_assert_uint_eq(r.id, 9);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_str_eq(r.content_type, "text/plain");
	ck_assert_str_eq(r.location, "");
	ck_assert_str_eq(r.error, "");
	ck_assert_uint_eq(r.body_len, sizeof(want) - 1);
	ck_assert_mem_eq(r.body, want, r.body_len);
	ck_assert(!p.ops->http_result(p.ctx, &r));
}
END_TEST

START_TEST(statuses_are_told)
{
	struct fz_http_request q = request_of(1, "POST", URL "/limit");
	struct fz_http_result r;

	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	r = result();
	ck_assert_uint_eq(r.status, 429);
	ck_assert_uint_eq(r.retry_after_s, 7);
	ck_assert_mem_eq(r.body, "later", 5);
	q = request_of(2, "GET", URL "/move");
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	r = result();
	ck_assert_uint_eq(r.status, 307);
	ck_assert_uint_eq(r.retry_after_s, 0);
	ck_assert_str_eq(r.location, URL "/elsewhere?x=1");
}
END_TEST

START_TEST(bodies_are_limited)
{
	struct fz_http_request q = request_of(1, "GET", URL "/big");
	struct fz_http_result r;

	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	r = result();
	ck_assert_int_eq(r.err, FZ_ERR_NOSPACE);
	ck_assert_str_ne(r.error, "");
	ck_assert_uint_eq(r.body_len, 0);
	q.answer_max = 70000;
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	r = result();
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.body_len, 70000);
}
END_TEST

START_TEST(headers_are_checked)
{
	static const struct fz_http_header bad[] = {
		{ "a b", "c" }, { "", "c" }, { "a", "x\ny: z" }, { "a", "\xff" }
	};
	struct fz_http_request q = request_of(1, "GET", URL "/");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		q.headers = &bad[i];
		q.headers_len = 1;
		ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_INVAL);
	}
	q.headers_len = 17;
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_INVAL);
	q = request_of(1, "G T", URL "/");
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_INVAL);
	q = request_of(1, "GET", NULL);
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_INVAL);
	q = request_of(1, NULL, URL "/");
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_INVAL);
}
END_TEST

START_TEST(requests_may_be_cancelled)
{
	struct fz_http_request q = request_of(1, "GET", URL "/big");
	struct fz_http_result r;

	for (int i = 0; i < 3; i++) { /* before anything, under way, done */
		ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
		if (i == 1)
			(void)p.ops->wait(p.ctx, 0, &(uint32_t){ 0 });
		else if (i == 2)
			ck_assert(await(FZ_READY_HTTP));
		p.ops->http_cancel(p.ctx, 1);
		p.ops->http_cancel(p.ctx, 1);
		ck_assert(!p.ops->http_result(p.ctx, &r));
	}
	for (uint64_t i = 0; i < 32; i++) {
		q.id = i;
		ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	}
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), FZ_ERR_FULL);
	p.ops->http_cancel(p.ctx, 31);
	ck_assert_int_eq(p.ops->http_start(p.ctx, &q), 0);
	p.ops->ask_close(p.ctx);
	ck_assert(!p.ops->http_result(p.ctx, &r));
}
END_TEST

/* More servers than are remembered, some of them unknown: each request ends, and nothing is left. */
START_TEST(more_servers_than_are_remembered)
{
	struct fz_http_result r;
	uint64_t done = 0;

	for (uint64_t i = 0; i < 12; i++) {
		char url[64];
		snprintf(url, sizeof(url), "https://u%u.test/", (unsigned)i);
		struct fz_http_request q = request_of(i, "GET", url);
		q.timeout_ms = 200;
		int err = p.ops->http_start(p.ctx, &q);
		ck_assert_int_eq(err, i < 8 ? 0 : FZ_ERR_FULL);
	}
	while (done < 8) {
		ck_assert(await(FZ_READY_HTTP));
		while (p.ops->http_result(p.ctx, &r)) {
			ck_assert_int_ne(r.err, 0);
			done++;
		}
	}
	ck_assert_uint_eq(exchange(1, URL "/dns-query"), 1);
}
END_TEST

START_TEST(memory_may_fail)
{
	bool failed = true;

	for (long n = 1; failed; n++) {
		ck_assert_int_lt(n, 200);
		p.ops->ask_close(p.ctx);
		env.fail_at = env.allocs + n;
		int err = ask(1, URL "/dns-query", 0);
		if (err == 0)
			err = get().err;
		failed = err != 0;
		ck_assert_msg(err == 0 || err == FZ_ERR_NOMEM || err == FZ_ERR_IO, "%d", err);
	}
	env.fail_at = 0;
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { a7_9_get_with_base64url,
				       a7_9_published_query,
				       a7_10_published_answer,
				       a7_11_many_at_once,
				       bad_answers_fail,
				       silence_is_a_timeout,
				       names_that_nobody_knows,
				       a_closed_connection_is_replaced,
				       a_network_change_begins_anew,
				       a7_13_hosts_file,
				       post_carries_a_body,
				       statuses_are_told,
				       bodies_are_limited,
				       headers_are_checked,
				       requests_may_be_cancelled,
				       more_servers_than_are_remembered,
				       memory_may_fail };
	Suite *s = suite_create("linux_http");
	TCase *tc = tcase_create("http");

	netns_probe();
	if (getenv("PLATFORM_TESTS") == NULL || access(ROOTS, R_OK) < 0) {
		fprintf(stderr, "skipped: not run by meson, or no %s\n", ROOTS);
		exit(77);
	}
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
