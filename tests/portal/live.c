/* SPDX-License-Identifier: Apache-2.0 */
/* A client and a gateway on real streams, with fz-devportal as the portal: every way a connection can end. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "core/portal.h"
#include "ext/stream.h"

#define FDS 256

struct device {
	struct portal *p;
	struct stream *s;
	bool was_open;
	int ups, downs, fatal;
	uint64_t retry_us;
	char reason[256], fatal_text[400];
	int count[32]; /* messages by type */
	struct portal_event kept; /* the last authorization, or init */
};

static struct {
	struct unit_env u;
	struct stream_set *set;
	unsigned want[FDS];
	struct device dev[2]; /* client, gateway */
	pid_t portal;
	int portal_out;
	unsigned port;
	char dir[64], socket[100], cert[100], key[100];
	bool tls, trusted; /* the portal has a certificate; the devices know it */
} t;

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void watch(void *ctx, int fd, unsigned want)
{
	(void)ctx;
	ck_assert_int_lt(fd, FDS);
	t.want[fd] = want;
}

static void keep(struct device *d, struct portal_out *out)
{
	struct portal_event *ev = &out->u.message;

	d->count[ev->type]++;
	if (ev->type == PORTAL_EVENT_INIT || ev->type == PORTAL_EVENT_CREATE_AUTHZ ||
	    ev->type == PORTAL_EVENT_AUTHZ_CREATED || ev->type == PORTAL_EVENT_CANDIDATES_ADDED) {
		portal_event_clear(&t.u.env, &d->kept);
		d->kept = *ev;
		memset(ev, 0, sizeof(*ev));
	}
}

static void handle_out(struct device *d, struct portal_out *out)
{
	switch (out->type) {
	case PORTAL_OUT_CONNECT: {
		struct stream_opts o = { .host = out->u.connect.host,
					 .port = out->u.connect.port,
					 .tls = out->u.connect.tls,
					 .ca_file = t.trusted ? t.cert : NULL };
		ck_assert_ptr_null(d->s);
		ck_assert_int_eq(stream_open(t.set, &o, &d->s, clock_us()), 0);
		d->was_open = false;
		break;
	}
	case PORTAL_OUT_CLOSE:
		stream_close(d->s);
		d->s = NULL;
		break;
	case PORTAL_OUT_UP:
		d->ups++;
		break;
	case PORTAL_OUT_DOWN:
		d->downs++;
		d->retry_us = out->u.down.retry_us;
		snprintf(d->reason, sizeof(d->reason), "%s", out->u.down.reason);
		break;
	case PORTAL_OUT_MESSAGE:
		keep(d, out);
		break;
	case PORTAL_OUT_FATAL:
		d->fatal = out->u.fatal.err;
		snprintf(d->fatal_text, sizeof(d->fatal_text), "%s", out->u.fatal.text);
		break;
	}
	portal_out_clear(d->p, out);
}

static void gone(struct device *d, const char *why)
{
	char reason[300];

	snprintf(reason, sizeof(reason), "%s", why);
	stream_close(d->s);
	d->s = NULL;
	portal_handle_disconnected(d->p, reason, clock_us());
}

static void read_stream(struct device *d)
{
	char buf[4096];
	int n;

	while (d->s && (n = stream_recv(d->s, buf, sizeof(buf))) != FZ_ERR_AGAIN) {
		if (n > 0)
			portal_handle_data(d->p, buf, (size_t)n, clock_us());
		else
			gone(d, n == 0 ? "closed by the portal" : stream_error(d->s));
	}
}

static void write_stream(struct device *d)
{
	static uint8_t buf[16384];
	int n;

	while (d->s && d->was_open && (n = portal_poll_transmit(d->p, buf, sizeof(buf), clock_us())) > 0)
		ck_assert_int_eq(stream_send(d->s, buf, (size_t)n), n); /* the loopback takes it all */
}

static void turn_device(struct device *d)
{
	struct portal_out out;

	if (d->p == NULL)
		return;
	if (d->s && !d->was_open && stream_state(d->s) == STREAM_OPEN) {
		d->was_open = true;
		portal_handle_connected(d->p, clock_us());
	}
	if (d->s && stream_state(d->s) == STREAM_FAILED)
		gone(d, stream_error(d->s));
	if (d->s && d->was_open)
		read_stream(d);
	portal_handle_timeout(d->p, clock_us());
	write_stream(d);
	while (portal_poll_event(d->p, &out))
		handle_out(d, &out);
	write_stream(d);
}

static void turn(void)
{
	struct pollfd p[FDS];
	int n = 0;
	uint64_t until = clock_us() + 50000;

	until = fz_min_us(until, stream_set_next_timeout(t.set));
	for (int i = 0; i < 2; i++)
		if (t.dev[i].p)
			until = fz_min_us(until, portal_next_timeout(t.dev[i].p));
	for (int fd = 0; fd < FDS; fd++)
		if (t.want[fd])
			p[n++] =
				(struct pollfd){ .fd = fd,
						 .events =
							 (short)((t.want[fd] & STREAM_READ ? POLLIN : 0) |
								 (t.want[fd] & STREAM_WRITE ? POLLOUT : 0)) };
	uint64_t now = clock_us();
	poll(p, (nfds_t)n, until <= now ? 0 : (int)((until - now) / 1000) + 1);
	for (int i = 0; i < n; i++) {
		unsigned ready = (p[i].revents & (POLLIN | POLLHUP | POLLERR) ? STREAM_READ : 0) |
				 (p[i].revents & (POLLOUT | POLLERR) ? STREAM_WRITE : 0);
		if (ready)
			stream_set_handle_ready(t.set, p[i].fd, ready, clock_us());
	}
	stream_set_handle_timeout(t.set, clock_us());
	turn_device(&t.dev[0]);
	turn_device(&t.dev[1]);
}

#define wait_for(cond)                                                                                       \
	do {                                                                                                 \
		uint64_t end_ = clock_us() + FZ_SEC(10);                                                     \
		while (!(cond) && clock_us() < end_)                                                         \
			turn();                                                                              \
		ck_assert_msg(cond, "%s: client %s %s, gateway %s %s", #cond, t.dev[0].reason,               \
			      t.dev[0].fatal_text, t.dev[1].reason, t.dev[1].fatal_text);                    \
	} while (0)

static void ctl(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "'%s' ctl --socket '%s' %s >/dev/null", getenv("DEVPORTAL"), t.socket,
		 command);
	ck_assert_msg(system(line) == 0, "%s", line);
}

static void make_certificate(void)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout %s -out "
		 "%s -days 2 -subj /CN=x "
		 "-addext subjectAltName=IP:127.0.0.1 2>/dev/null",
		 t.key, t.cert);
	ck_assert_msg(system(line) == 0, "%s", line);
}

static void start_portal(void)
{
	static const char config[] = "\"sites\":[\"HQ\"],\"devices\":[{\"role\":\"gateway\",\"name\":\"gw1\","
				     "\"site\":\"HQ\",\"external_id\":\"gw-1\",\"token\":\"gt\"},"
				     "{\"role\":\"client\",\"name\":\"cl1\",\"external_id\":\"3f8f4b58-6a0c-"
				     "4d0e-9b0e-2b6f3f2a9d11\",\"token\":\"ct\"}],"
				     "\"resources\":[{\"type\":\"cidr\",\"name\":\"Lab\",\"address\":\"10.20."
				     "0.0/16\",\"site\":\"HQ\"}],"
				     "\"relays\":[{\"name\":\"r1\",\"mode\":\"coturn\",\"addrs\":[\"203.0."
				     "113.101:3478\",\"[2001:db8::1]:3478\"],\"secret\":\"s\"}]}";
	char path[128], line[200] = "";
	int out[2];

	snprintf(t.dir, sizeof(t.dir), "/tmp/fz-live-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t.dir));
	snprintf(t.cert, sizeof(t.cert), "%s/cert.pem", t.dir);
	snprintf(t.key, sizeof(t.key), "%s/key.pem", t.dir);
	if (t.tls)
		make_certificate();
	snprintf(path, sizeof(path), "%s/config.json", t.dir);
	snprintf(t.socket, sizeof(t.socket), "%s/ctl.sock", t.dir);
	FILE *f = fopen(path, "w");
	fputs("{", f);
	if (t.tls)
		fprintf(f, "\"tls\":{\"cert\":\"%s\",\"key\":\"%s\"},", t.cert, t.key);
	fputs(config, f);
	fclose(f);
	ck_assert_int_eq(pipe(out), 0);
	t.portal = fork();
	if (t.portal == 0) {
		dup2(out[1], 1);
		close(out[0]);
		execl(getenv("DEVPORTAL"), "fz-devportal", "--config", path, "--listen", "127.0.0.1:0",
		      "--socket", t.socket, "--log-level", "error", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	for (size_t n = 0; n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n'; n++)
		;
	t.portal_out = out[0];
	ck_assert_msg(sscanf(line, "fz-devportal: ready on 127.0.0.1:%u", &t.port) == 1, "%s", line);
}

static void start_device(int i, const char *token)
{
	char url[64];
	struct portal_opts o = { .url = url,
				 .token = token,
				 .name = "n",
				 .iceless = true,
				 .role = i ? PORTAL_ROLE_GATEWAY : PORTAL_ROLE_CLIENT,
				 .external_id = i ? "gw-1" : "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11",
				 .user_agent = i ? "Debian/12.0.0 gateway/1.6.1"
						 : "Debian/12.0.0 headless-client/1.5.12 (x86_64)" };
	struct fz_key key;

	memset(&t.dev[i], 0, sizeof(t.dev[i]));
	memset(&key, 9 + i, sizeof(key));
	snprintf(url, sizeof(url), "%s://127.0.0.1:%u/", t.tls ? "wss" : "ws", t.port);
	ck_assert_int_eq(portal_new(&t.u.env, &o, clock_us(), &t.dev[i].p, NULL), 0);
	portal_set_public_key(t.dev[i].p, &key);
}

static void setup_with(bool tls)
{
	memset(&t, 0, sizeof(t));
	t.tls = tls;
	unsetenv("http_proxy"), unsetenv("all_proxy"), unsetenv("ALL_PROXY");
	unit_env_init(&t.u, 1);
	start_portal();
	ck_assert_int_eq(stream_set_new(&t.u.env, watch, NULL, NULL, &t.set), 0);
}

static void setup(void)
{
	setup_with(false);
}

static void setup_tls(void)
{
	setup_with(true);
}

static void stop_device(int i)
{
	struct device *d = &t.dev[i];

	portal_event_clear(&t.u.env, &d->kept);
	portal_free(d->p);
	stream_close(d->s);
	memset(d, 0, sizeof(*d));
}

static void teardown(void)
{
	stop_device(0);
	stop_device(1);
	stream_set_free(t.set);
	unit_env_check(&t.u);
	kill(t.portal, SIGTERM);
	waitpid(t.portal, NULL, 0);
	close(t.portal_out);
	char path[128];
	snprintf(path, sizeof(path), "%s/config.json", t.dir);
	unlink(path);
	unlink(t.socket);
	unlink(t.cert);
	unlink(t.key);
	rmdir(t.dir);
}

static void start_both(void)
{
	start_device(1, "gt");
	start_device(0, "c\nt");
	wait_for(t.dev[0].count[PORTAL_EVENT_INIT] == 1 && t.dev[1].count[PORTAL_EVENT_INIT] == 1);
}

START_TEST(authorization_and_candidates)
{
	struct device *cl = &t.dev[0], *gw = &t.dev[1];
	const char *text = "candidate:1 1 udp 2130706431 192.0.2.1 52625 typ host";

	start_both();
	ck_assert_uint_eq(cl->kept.u.init.resources_len, 1);
	ck_assert_uint_eq(cl->kept.u.init.relays_len, 1);
	ck_assert(cl->kept.u.init.relays[0].ipv4.port == 3478 && cl->kept.u.init.relays[0].ipv6.port == 3478);
	struct fz_uuid res = cl->kept.u.init.resources[0].id;
	ck_assert_int_eq(portal_send_request_authorization(cl->p, &res, NULL, 0), 0);
	wait_for(gw->count[PORTAL_EVENT_CREATE_AUTHZ] == 1);
	ck_assert_uint_eq(gw->kept.u.create_authz.client_key.b[0], 9);
	struct fz_key psk = gw->kept.u.create_authz.preshared_key;
	struct fz_uuid client_id = gw->kept.u.create_authz.client_id;
	ck_assert_int_eq(portal_send_authorization_created(gw->p, gw->kept.u.create_authz.ref), 0);
	ck_assert_int_eq(portal_send_candidates(gw->p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_CLIENT, &client_id,
						&text, 1),
			 0);
	wait_for(cl->count[PORTAL_EVENT_CANDIDATES_ADDED] == 1); /* behind the grant */
	ck_assert_int_eq(cl->count[PORTAL_EVENT_AUTHZ_CREATED], 1);
	ck_assert_str_eq(cl->kept.u.candidates.texts[0], text);
	struct fz_uuid gateway_id = cl->kept.u.candidates.id;
	ck_assert_int_eq(portal_send_candidates(cl->p, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_GATEWAY,
						&gateway_id, &text, 1),
			 0);
	wait_for(gw->count[PORTAL_EVENT_CANDIDATES_REMOVED] == 1);
	ck_assert_int_eq(portal_send_request_authorization(cl->p, &res, &gateway_id, 1), 0);
	wait_for(gw->count[PORTAL_EVENT_CREATE_AUTHZ] == 2);
	ck_assert_int_eq(memcmp(&psk, &gw->kept.u.create_authz.preshared_key, sizeof(psk)), 0);
	ck_assert_int_eq(portal_send_no_relays(cl->p), 0);
	wait_for(cl->count[PORTAL_EVENT_RELAYS_PRESENCE] == 1);
	ctl("revoke cl1 Lab");
	wait_for(gw->count[PORTAL_EVENT_ACCESS_REJECTED] == 1);
	ctl("add-resource type=dns name=Web address=web.corp.example site=HQ");
	wait_for(cl->count[PORTAL_EVENT_RESOURCE_UPSERTED] == 1);
	ctl("remove-resource Web");
	wait_for(cl->count[PORTAL_EVENT_RESOURCE_DELETED] == 1);
	ck_assert_uint_eq(portal_stats(cl->p)->dropped_malformed + portal_stats(gw->p)->dropped_malformed, 0);
	ck_assert_uint_eq(portal_stats(cl->p)->dropped_unknown + portal_stats(gw->p)->dropped_unknown, 0);
}
END_TEST

/* Each ends the connection; the channel comes back by itself and gets an init again. */
START_TEST(losses_are_repaired)
{
	static const char *const how[] = { "drop cl1", "drop cl1 reset=true", "close cl1 code=1012",
					   "close cl1 code=1001", "close-channel cl1" };
	struct device *cl = &t.dev[0];

	start_both();
	for (int i = 0; i < 5; i++) {
		ctl(how[i]);
		wait_for(cl->downs == i + 1);
		ck_assert(cl->retry_us >= 500000 && cl->retry_us < 1000000);
		wait_for(cl->ups == i + 2 && cl->count[PORTAL_EVENT_INIT] == i + 2);
	}
	portal_reconnect(cl->p, clock_us());
	wait_for(cl->ups == 7 && cl->count[PORTAL_EVENT_INIT] == 7);
	ck_assert_int_eq(cl->fatal, 0);
}
END_TEST

START_TEST(fatal_ends)
{
	struct device *cl = &t.dev[0];

	start_device(0, "wrong");
	wait_for(cl->fatal == FZ_ERR_TOKEN);
	stop_device(0);
	ctl("fail-next status=401 content-type=text/plain body=no");
	start_device(0, "ct");
	wait_for(cl->fatal == FZ_ERR_PORTAL);
	stop_device(0);
	ctl("fail-join reason=disabled role=client");
	start_device(0, "ct");
	wait_for(cl->fatal == FZ_ERR_PORTAL);
	ck_assert_ptr_nonnull(strstr(cl->fatal_text, "disabled"));
	stop_device(0);
	start_device(0, "ct");
	wait_for(cl->ups == 1);
	ctl("kick cl1");
	wait_for(cl->fatal == FZ_ERR_TOKEN);
	ck_assert_ptr_null(cl->s);
}
END_TEST

START_TEST(refusals_are_retried)
{
	struct device *cl = &t.dev[0];

	ctl("fail-next status=503 retry-after=1 role=client");
	start_device(0, "ct");
	wait_for(cl->downs == 1);
	ck_assert_uint_eq(cl->retry_us, FZ_SEC(1));
	wait_for(cl->ups == 1);
	portal_reconnect(cl->p, clock_us());
	ctl("fail-next status=302 location=ws://127.0.0.1:1/");
	wait_for(cl->downs == 3);
	ck_assert_ptr_nonnull(strstr(cl->reason, "302"));
	wait_for(cl->ups == 2);
}
END_TEST

START_TEST(shutdown_closes_in_order)
{
	struct device *cl = &t.dev[0];

	start_device(0, "ct");
	wait_for(cl->ups == 1);
	portal_shutdown(cl->p, clock_us());
	wait_for(cl->s == NULL);
	ck_assert_int_eq(cl->downs, 0);
	ck_assert_uint_eq(portal_next_timeout(cl->p), FZ_NEVER_US);
}
END_TEST

START_TEST(tls_is_verified)
{
	struct device *cl = &t.dev[0];

	start_device(0, "ct");
	wait_for(cl->downs == 1);
	ck_assert_msg(strstr(cl->reason, "certificate") != NULL, "%s", cl->reason);
	t.trusted = true;
	wait_for(cl->ups == 1 && cl->count[PORTAL_EVENT_INIT] == 1);
	ctl("drop cl1");
	wait_for(cl->ups == 2);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal-live");
	const TTest *tests[] = { authorization_and_candidates, losses_are_repaired, fatal_ends,
				 refusals_are_retried, shutdown_closes_in_order };
	TCase *c = tcase_create("live");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	if (system("openssl version >/dev/null 2>&1") != 0)
		return s;
	c = tcase_create("tls");
	tcase_add_checked_fixture(c, setup_tls, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, tls_is_verified);
	suite_add_tcase(s, c);
	return s;
}
