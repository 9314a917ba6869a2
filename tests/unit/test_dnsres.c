/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups against small name servers on the loopback of this machine. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ext/dnsres.h"

enum { FDS = 64, PATIENCE_MS = 300, FOREVER_MS = 20000 };

enum mode {
	BOTH, /* 192.0.2.1 and 2001:db8::1, or those of the field `last` */
	ONLY_A, /* no record for AAAA */
	NO_AAAA_ANSWER, /* silence for AAAA */
	AAAA_FAILS,
	MANY, /* 17 addresses of each kind */
	NO_RECORD,
	NO_NAME,
	FAILURE,
	SILENCE,
	TRUNCATED, /* over UDP */
	EMPTY_BY_UDP, /* records over TCP alone */
	GARBLED, /* a record that is longer than the message */
	OTHER_ID,
};

struct server {
	int udp, tcp, conn; /* one TCP connection at a time */
	struct fz_addr addr;
	enum mode mode;
	uint8_t last; /* byte of its addresses */
	unsigned by_udp, by_tcp; /* questions */
	char name[300]; /* of the last question, labels behind their lengths */
};

struct loop {
	struct unit_env u;
	struct dnsres *r;
	unsigned want[FDS]; /* by descriptor */
	int prepare_result;
	unsigned prepared;
	struct server servers[2];
	unsigned servers_len;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* The server's side. */

static size_t put_record(uint8_t *at, int type, uint8_t last, bool too_long)
{
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8 };
	size_t len = type == 1 ? 4 : 16;
	const uint8_t head[12] = { 0xc0, 12, 0, (uint8_t)type,
				   0,    1,  0, 0,
				   0,    60, 0, (uint8_t)(len + (too_long ? 9 : 0)) };
	const uint8_t v4[4] = { 192, 0, 2, last };

	memcpy(at, head, 12);
	memcpy(at + 12, type == 1 ? v4 : v6, len);
	at[12 + len - 1] = last;
	return 12 + len;
}

/* Turns the question in msg into its answer; 0 = no answer. */
static size_t answer(struct server *s, uint8_t *msg, size_t len, bool by_tcp)
{
	size_t end = 12;

	ck_assert_uint_ge(len, 17);
	while (end < len && msg[end])
		end += msg[end] + 1u;
	ck_assert_uint_le(end + 5, len);
	memset(s->name, 0, sizeof(s->name));
	memcpy(s->name, msg + 12, end - 12);
	int type = msg[end + 2];
	ck_assert(type == 1 || type == 28);
	len = end + 5;
	unsigned records = 1;
	if (s->mode == SILENCE || (s->mode == NO_AAAA_ANSWER && type == 28))
		return 0;
	if (s->mode == NO_RECORD || s->mode == NO_NAME || s->mode == FAILURE ||
	    (s->mode == AAAA_FAILS && type == 28) || (s->mode == ONLY_A && type == 28) ||
	    (!by_tcp && (s->mode == TRUNCATED || s->mode == EMPTY_BY_UDP)))
		records = 0;
	if (s->mode == MANY)
		records = 17;
	if (s->mode == OTHER_ID)
		msg[0] ^= 1;
	msg[2] = (uint8_t)(0x81 | (!by_tcp && s->mode == TRUNCATED ? 2 : 0));
	msg[3] = (uint8_t)(0x80 | (s->mode == NO_NAME                                            ? 3
				   : s->mode == FAILURE || (s->mode == AAAA_FAILS && type == 28) ? 2
												 : 0));
	msg[7] = (uint8_t)records;
	msg[11] = 0;
	for (unsigned i = 0; i < records; i++)
		len += put_record(msg + len, type, (uint8_t)(s->last + i), s->mode == GARBLED);
	return len;
}

static void serve_udp(struct server *s)
{
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t msg[1500];
	ssize_t n = recvfrom(s->udp, msg, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

	if (n < 0)
		return;
	s->by_udp++;
	size_t len = answer(s, msg, (size_t)n, false);
	if (len)
		ck_assert_int_eq(sendto(s->udp, msg, len, 0, (struct sockaddr *)&from, from_len),
				 (ssize_t)len);
}

static void serve_tcp(struct server *s)
{
	uint8_t msg[1502];

	if (s->conn < 0)
		s->conn = accept(s->tcp, NULL, NULL);
	for (;;) {
		if (s->conn < 0 || recv(s->conn, msg, 2, MSG_PEEK | MSG_DONTWAIT) < 2)
			break;
		size_t len = (size_t)(msg[0] << 8 | msg[1]);
		ck_assert_uint_le(len, 512);
		if (recv(s->conn, msg, 2 + len, MSG_DONTWAIT) < (ssize_t)(2 + len))
			break;
		s->by_tcp++;
		len = answer(s, msg + 2, len, true);
		msg[0] = (uint8_t)(len >> 8);
		msg[1] = (uint8_t)len;
		if (len)
			ck_assert_int_eq(send(s->conn, msg, len + 2, MSG_NOSIGNAL), (ssize_t)len + 2);
	}
	uint8_t byte;
	if (s->conn >= 0 && recv(s->conn, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		close(s->conn);
		s->conn = -1;
	}
}

static struct server *add_server(struct loop *l, enum mode mode)
{
	struct server *s = &l->servers[l->servers_len++];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	const int on = 1;

	*s = (struct server){ .conn = -1, .mode = mode, .last = 1 };
	s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(s->tcp, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(s->tcp, 4), 0);
	ck_assert_int_eq(getsockname(s->tcp, (struct sockaddr *)&a, &len), 0);
	s->udp = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(setsockopt(s->udp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(bind(s->udp, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(fz_ip_parse("127.0.0.1", &s->addr.ip), 0);
	s->addr.port = ntohs(a.sin_port);
	struct fz_addr all[2] = { l->servers[0].addr, l->servers[1].addr };
	ck_assert_int_eq(dnsres_set_servers(l->r, all, l->servers_len), 0);
	return s;
}

/* The loop. */

static void watch(void *ctx, int fd, unsigned want)
{
	struct loop *l = ctx;

	ck_assert_int_lt(fd, FDS);
	l->want[fd] = want;
}

static int prepare(void *ctx, int fd)
{
	struct loop *l = ctx;

	ck_assert_int_ge(fd, 0);
	l->prepared++;
	return l->prepare_result;
}

static void loop_init(struct loop *l)
{
	memset(l, 0, sizeof(*l));
	unit_env_init(&l->u, 1);
	ck_assert_int_eq(dnsres_new(&l->u.env, watch, prepare, l, &l->r), 0);
	dnsres_set_patience(l->r, PATIENCE_MS);
}

static void assert_idle(const struct loop *l)
{
	for (int i = 0; i < FDS; i++)
		ck_assert_msg(l->want[i] == 0, "descriptor %d is still watched", i);
	ck_assert_uint_eq(dnsres_next_timeout(l->r), UINT64_MAX);
}

static void loop_clear(struct loop *l)
{
	dnsres_free(l->r);
	for (int i = 0; i < FDS; i++)
		ck_assert_msg(l->want[i] == 0, "descriptor %d is still watched", i);
	for (unsigned i = 0; i < l->servers_len; i++) {
		close(l->servers[i].udp);
		close(l->servers[i].tcp);
		if (l->servers[i].conn >= 0)
			close(l->servers[i].conn);
	}
	unit_env_check(&l->u);
}

/* One turn of a loop, at most 20 ms. */
static void turn(struct loop *l)
{
	struct pollfd p[FDS + 8];
	nfds_t n = 0, ours;
	uint64_t now = clock_us(), next = dnsres_next_timeout(l->r);
	int ms = next <= now ? 0 : next - now > 20000 ? 20 : (int)((next - now) / 1000) + 1;

	for (int fd = 0; fd < FDS; fd++)
		if (l->want[fd])
			p[n++] = (struct pollfd){ .fd = fd,
						  .events = (short)((l->want[fd] & DNSRES_READ ? POLLIN : 0) |
								    (l->want[fd] & DNSRES_WRITE ? POLLOUT
												: 0)) };
	ours = n;
	for (unsigned i = 0; i < l->servers_len; i++) {
		const struct server *s = &l->servers[i];
		p[n++] = (struct pollfd){ .fd = s->udp, .events = POLLIN };
		p[n++] = (struct pollfd){ .fd = s->conn >= 0 ? s->conn : s->tcp, .events = POLLIN };
	}
	poll(p, n, ms);
	for (unsigned i = 0; i < l->servers_len; i++) {
		serve_udp(&l->servers[i]);
		serve_tcp(&l->servers[i]);
	}
	for (nfds_t i = 0; i < ours; i++) {
		unsigned ready = (p[i].revents & (POLLIN | POLLHUP | POLLERR) ? DNSRES_READ : 0) |
				 (p[i].revents & (POLLOUT | POLLERR) ? DNSRES_WRITE : 0);
		if (ready)
			dnsres_handle_ready(l->r, p[i].fd, ready, clock_us());
	}
	dnsres_handle_timeout(l->r, clock_us());
}

static enum dnsres_state settle(struct loop *l, struct dnsres_lookup *q)
{
	uint64_t end = clock_us() + FOREVER_MS * 1000u;

	while (dnsres_state(q) == DNSRES_PENDING && clock_us() < end)
		turn(l);
	assert_idle(l);
	return dnsres_state(q);
}

static struct dnsres_lookup *start(struct loop *l, const char *host)
{
	struct dnsres_lookup *q;

	ck_assert_int_eq(dnsres_start(l->r, host, &q, clock_us()), 0);
	return q;
}

static bool has(const struct dnsres_lookup *q, const char *text)
{
	const struct fz_ip *addrs;
	struct fz_ip ip;
	size_t n = dnsres_addrs(q, &addrs);

	ck_assert_int_eq(fz_ip_parse(text, &ip), 0);
	for (size_t i = 0; i < n; i++)
		if (fz_ip_equal(&addrs[i], &ip))
			return true;
	return false;
}

static size_t count(const struct dnsres_lookup *q)
{
	const struct fz_ip *addrs;

	return dnsres_addrs(q, &addrs);
}

/* Acceptance 7.12, one server. */
START_TEST(a7_12_one_server)
{
	static const struct {
		enum mode mode;
		unsigned found; /* addresses */
		unsigned by_udp, by_tcp; /* questions; UDP twice where c-ares turns to TCP by itself */
		const char *error;
	} rows[] = {
		{ BOTH, 2, 2, 0, NULL },
		{ ONLY_A, 1, 2, 0, NULL },
		{ NO_AAAA_ANSWER, 1, 2, 0, NULL },
		{ AAAA_FAILS, 1, 2, 0, NULL },
		{ MANY, DNSRES_ADDRS_MAX, 2, 0, NULL },
		{ TRUNCATED, 2, 2, 2, NULL },
		{ EMPTY_BY_UDP, 2, 2, 2, NULL },
		{ NO_NAME, 0, 2, 0, "the name does not exist" },
		{ NO_RECORD, 0, 2, 2, "the name has no address" },
		{ FAILURE, 0, 2, 2, "the name servers fail or refuse" },
		{ GARBLED, 0, 2, 2, "the answers of the name servers are malformed" },
		{ SILENCE, 0, 2, 2, "no name server answers" },
		{ OTHER_ID, 0, 2, 2, "no name server answers" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct loop l;
		loop_init(&l);
		struct server *s = add_server(&l, rows[i].mode);
		struct dnsres_lookup *q = start(&l, "portal.test");
		ck_assert_int_eq(dnsres_state(q), DNSRES_PENDING);
		ck_assert_msg(settle(&l, q) == (rows[i].found ? DNSRES_DONE : DNSRES_FAILED), "row %zu: %s",
			      i, dnsres_error(q));
		ck_assert_msg(count(q) == rows[i].found, "row %zu: %zu addresses", i, count(q));
		ck_assert_msg(s->by_udp == rows[i].by_udp && s->by_tcp == rows[i].by_tcp,
			      "row %zu: %u questions by UDP, %u by TCP", i, s->by_udp, s->by_tcp);
		if (rows[i].error)
			ck_assert_str_eq(dnsres_error(q), rows[i].error);
		ck_assert_str_eq(s->name, "\6portal\4test");
		ck_assert_uint_ge(l.prepared, 1);
		dnsres_close(q);
		loop_clear(&l);
	}
}
END_TEST

/* The records of all servers count; a dead one costs the grace at most. */
START_TEST(a7_12_two_servers)
{
	static const struct {
		enum mode first, second;
		unsigned found, by_tcp, most_ms;
	} rows[] = {
		{ BOTH, BOTH, 4, 0, 300 },
		{ SILENCE, BOTH, 2, 0, 300 },
		{ BOTH, SILENCE, 2, 0, 300 },
		{ FAILURE, ONLY_A, 1, 0, 300 },
		{ NO_NAME, BOTH, 2, 0, 300 },
		{ GARBLED, BOTH, 2, 0, 300 },
		{ NO_NAME, NO_NAME, 0, 0, 300 },
		{ NO_NAME, SILENCE, 0, 4, 1000 }, /* not unanimous */
		{ NO_NAME, EMPTY_BY_UDP, 2, 4, 300 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct loop l;
		loop_init(&l);
		dnsres_set_patience(l.r, 400); /* longer than the grace */
		struct server *a = add_server(&l, rows[i].first), *b = add_server(&l, rows[i].second);
		b->last = 101;
		uint64_t began = clock_us();
		struct dnsres_lookup *q = start(&l, "portal.test");
		settle(&l, q);
		uint64_t ms = (clock_us() - began) / 1000;
		ck_assert_msg(count(q) == rows[i].found, "row %zu: %zu addresses", i, count(q));
		ck_assert_msg(a->by_tcp + b->by_tcp == rows[i].by_tcp, "row %zu: %u questions by TCP", i,
			      a->by_tcp + b->by_tcp);
		ck_assert_msg(ms <= rows[i].most_ms + 200, "row %zu: %u ms", i, (unsigned)ms);
		dnsres_close(q);
		loop_clear(&l);
	}
}
END_TEST

START_TEST(right_records)
{
	struct loop l;

	loop_init(&l);
	add_server(&l, BOTH);
	struct dnsres_lookup *q = start(&l, "portal.test.");
	ck_assert_int_eq(settle(&l, q), DNSRES_DONE);
	ck_assert(has(q, "192.0.2.1") && has(q, "2001:db8::1"));
	dnsres_close(q);
	loop_clear(&l);
}
END_TEST

START_TEST(no_server_is_asked_for_these)
{
	struct loop l;

	loop_init(&l);
	struct server *s = add_server(&l, NO_NAME);
	struct dnsres_lookup *q = start(&l, "localhost");
	ck_assert_int_eq(settle(&l, q), DNSRES_DONE);
	ck_assert(has(q, "127.0.0.1"));
	dnsres_close(q);
	q = start(&l, "printer.LocalHost.");
	ck_assert_int_eq(settle(&l, q), DNSRES_DONE);
	ck_assert(has(q, "127.0.0.1") && has(q, "::1"));
	dnsres_close(q);
	q = start(&l, "192.0.2.9");
	ck_assert_int_eq(settle(&l, q), DNSRES_DONE);
	ck_assert(has(q, "192.0.2.9") && count(q) == 1);
	dnsres_close(q);
	q = start(&l, "2001:db8::9");
	ck_assert_int_eq(settle(&l, q), DNSRES_DONE);
	ck_assert(has(q, "2001:db8::9") && count(q) == 1);
	dnsres_close(q);
	ck_assert_uint_eq(s->by_udp + s->by_tcp + l.prepared, 0);
	loop_clear(&l);
}
END_TEST

START_TEST(refused_connections)
{
	struct loop l;

	loop_init(&l);
	struct server *s = add_server(&l, BOTH);
	close(s->udp), close(s->tcp);
	s->udp = s->tcp = -1;
	uint64_t began = clock_us();
	struct dnsres_lookup *q = start(&l, "portal.test");
	ck_assert_int_eq(settle(&l, q), DNSRES_FAILED);
	ck_assert_str_eq(dnsres_error(q), "no name server answers");
	ck_assert_uint_lt(clock_us() - began, PATIENCE_MS * 1000u); /* not waited for */
	loop_clear(&l);
}
END_TEST

START_TEST(unmarked_sockets_are_not_used)
{
	struct loop l;

	loop_init(&l);
	struct server *s = add_server(&l, BOTH);
	l.prepare_result = FZ_ERR_PERM;
	struct dnsres_lookup *q = start(&l, "portal.test");
	ck_assert_int_eq(settle(&l, q), DNSRES_FAILED);
	ck_assert_ptr_nonnull(strstr(dnsres_error(q), "marked"));
	ck_assert_uint_ge(l.prepared, 2);
	turn(&l);
	ck_assert_uint_eq(s->by_udp + s->by_tcp, 0);
	loop_clear(&l);
}
END_TEST

START_TEST(cancel)
{
	struct loop l;

	loop_init(&l);
	add_server(&l, SILENCE);
	struct dnsres_lookup *a = start(&l, "a.test"), *b = start(&l, "b.test");
	turn(&l);
	dnsres_close(a);
	turn(&l);
	ck_assert_int_eq(dnsres_state(b), DNSRES_PENDING);
	dnsres_close(b);
	assert_idle(&l);
	dnsres_close(NULL);
	start(&l, "c.test"); /* closed with the rest */
	turn(&l);
	loop_clear(&l);
	dnsres_free(NULL);
}
END_TEST

START_TEST(many_at_once)
{
	struct loop l;
	struct dnsres_lookup *q[DNSRES_LOOKUPS_MAX], *more;

	loop_init(&l);
	struct server *s = add_server(&l, BOTH);
	for (int i = 0; i < DNSRES_LOOKUPS_MAX; i++)
		q[i] = start(&l, "portal.test");
	ck_assert_int_eq(dnsres_start(l.r, "portal.test", &more, clock_us()), FZ_ERR_FULL);
	uint64_t end = clock_us() + FOREVER_MS * 1000u;
	while (dnsres_next_timeout(l.r) != UINT64_MAX && clock_us() < end)
		turn(&l);
	for (int i = 0; i < DNSRES_LOOKUPS_MAX; i++) {
		ck_assert_int_eq(dnsres_state(q[i]), DNSRES_DONE);
		dnsres_close(q[i]);
	}
	ck_assert_uint_ge(s->by_udp, DNSRES_LOOKUPS_MAX);
	loop_clear(&l);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const char *const bad[] = { "", "a/b", "user@host", "two words", "[::1]" };
	struct fz_addr none = { .port = 53 }, many[DNSRES_SERVERS_MAX + 1];
	struct dnsres_lookup *q;
	char big[300];
	struct loop l;

	loop_init(&l);
	memset(big, 'a', sizeof(big));
	big[299] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(dnsres_start(l.r, bad[i], &q, 0), FZ_ERR_INVAL);
	ck_assert_int_eq(dnsres_start(l.r, big, &q, 0), FZ_ERR_INVAL);
	ck_assert_int_eq(dnsres_set_servers(l.r, &none, 1), FZ_ERR_INVAL);
	for (size_t i = 0; i <= DNSRES_SERVERS_MAX; i++)
		ck_assert_int_eq(fz_addr_parse("127.0.0.1:53", &many[i]), 0);
	ck_assert_int_eq(dnsres_set_servers(l.r, many, DNSRES_SERVERS_MAX + 1), FZ_ERR_INVAL);
	/* a label of more than 63 bytes is found out by c-ares */
	add_server(&l, BOTH);
	big[70] = '\0';
	q = start(&l, big);
	ck_assert_int_eq(settle(&l, q), DNSRES_FAILED);
	loop_clear(&l);
}
END_TEST

/* resolv.conf of this machine, whatever is in it: no crash, nothing left. */
START_TEST(servers_of_the_system)
{
	struct loop l;

	loop_init(&l);
	add_server(&l, SILENCE);
	ck_assert_int_eq(dnsres_set_servers(l.r, NULL, 0), 0);
	struct dnsres_lookup *q = start(&l, "name.invalid");
	turn(&l);
	dnsres_close(q);
	assert_idle(&l);
	ck_assert_uint_eq(l.servers[0].by_udp, 0);
	loop_clear(&l);
}
END_TEST

START_TEST(failing_allocations)
{
	for (long at = 1;; at++) {
		struct unit_env u;
		struct loop l = { .servers_len = 0 };
		struct dnsres_lookup *q;
		unit_env_init(&u, 1);
		u.fail_at = at;
		int err = dnsres_new(&u.env, watch, NULL, &l, &l.r);
		if (err == 0) {
			err = dnsres_start(l.r, "localhost", &q, 0);
			dnsres_free(l.r);
		}
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		unit_env_check(&u);
		if (err == 0)
			break;
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dnsres");

	unit_case(s, "dnsres", a7_12_one_server, a7_12_two_servers, right_records,
		  no_server_is_asked_for_these, refused_connections, unmarked_sockets_are_not_used, cancel,
		  many_at_once, nonsense_is_refused, servers_of_the_system, failing_allocations);
	return s;
}
