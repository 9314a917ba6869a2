/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cap-ng.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "logger.h"

static volatile sig_atomic_t want_stop, want_reset;

static void on_signal(int number)
{
	if (number == SIGHUP)
		want_reset = 1;
	else
		want_stop = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- before the start ---- */

static bool has_net_admin(void)
{
	capng_get_caps_process();
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

enum exit_code service_check(const struct service *s)
{
	int fd;

	if (!has_net_admin()) {
		fprintf(stderr,
			"%s: lacks the capability CAP_NET_ADMIN, without which no tunnel can be made; run it "
			"as root, or "
			"\"setcap cap_net_admin+ep\" the program, or put AmbientCapabilities=CAP_NET_ADMIN "
			"into its unit\n",
			s->name);
		return EXIT_PRIVILEGE;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return EXIT_OK;
	}
	if (errno == EACCES || errno == EPERM) {
		fprintf(stderr,
			"%s: /dev/net/tun may not be opened; \"chmod 0666 /dev/net/tun\", or allow the "
			"device to the "
			"container (--device /dev/net/tun)\n",
			s->name);
		return EXIT_PRIVILEGE;
	}
	fprintf(stderr,
		"%s: there is no TUN device (/dev/net/tun: %s); \"modprobe tun\", or in a container \"mkdir "
		"-p /dev/net && "
		"mknod /dev/net/tun c 10 200\"\n",
		s->name, strerror(errno));
	return EXIT_NO_TUN;
}

static void raise_limit(const char *path, unsigned long want)
{
	char text[32] = "";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0 && strtoul(text, NULL, 10) < want) {
		int n = snprintf(text, sizeof(text), "%lu", want);
		if (pwrite(fd, text, (size_t)n, 0) == n)
			say(FZ_LOG_INFO, "set %s to %lu", path, want);
	}
	close(fd);
}

void service_raise_buffers(void)
{
	raise_limit("/proc/sys/net/core/rmem_max", 16777216);
	raise_limit("/proc/sys/net/core/wmem_max", 2097152);
}

/* ---- events ---- */

static void log_addresses(const struct fz_event *ev)
{
	char local[FZ_ADDR_STRLEN], remote[FZ_ADDR_STRLEN];

	say(FZ_LOG_DEBUG, "peer %u: %s -> %s", ev->u.peer.number, fz_addr_format(&ev->u.peer.local, local),
	    fz_addr_format(&ev->u.peer.remote, remote));
}

static void log_event(const struct fz_event *ev)
{
	switch (ev->type) {
	case FZ_EVENT_PORTAL_UP:
		say(FZ_LOG_INFO, "signed in at the portal");
		break;
	case FZ_EVENT_PORTAL_DOWN:
		say(FZ_LOG_INFO, "%s: %s; next attempt in %.1f s",
		    ev->u.portal_down.was_up ? "lost the portal" : "the portal is not reached",
		    ev->u.portal_down.reason, (double)ev->u.portal_down.retry_us / 1e6);
		break;
	case FZ_EVENT_READY:
		say(FZ_LOG_INFO, "the tunnel interface is ready");
		break;
	case FZ_EVENT_PEER_UP:
		say(FZ_LOG_INFO, "peer %u (%s): connected, path %s", ev->u.peer.number, ev->u.peer.id,
		    ev->u.peer.path);
		log_addresses(ev);
		break;
	case FZ_EVENT_PEER_PATH:
		say(FZ_LOG_INFO, "peer %u: path is now %s", ev->u.peer.number, ev->u.peer.path);
		log_addresses(ev);
		break;
	case FZ_EVENT_PEER_DOWN:
		say(FZ_LOG_INFO, "peer %u (%s): disconnected: %s", ev->u.peer.number, ev->u.peer.id,
		    ev->u.peer.path);
		break;
	case FZ_EVENT_GRANTED:
		say(FZ_LOG_INFO, "access granted: resource %s, peer %s", ev->u.grant.resource,
		    ev->u.grant.peer);
		break;
	case FZ_EVENT_REVOKED:
		say(FZ_LOG_INFO, "access ended: resource %s, peer %s: %s", ev->u.grant.resource,
		    ev->u.grant.peer, ev->u.grant.reason);
		break;
	case FZ_EVENT_REFUSED:
		say(FZ_LOG_INFO, "access refused: resource %s: %s", ev->u.refused.resource,
		    ev->u.refused.reason);
		break;
	case FZ_EVENT_DEAD:
		say(FZ_LOG_ERROR, "%s", ev->u.dead.text);
		break;
	default:
		break;
	}
}

static void notify_manager(const char *state)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

static void log_counters(const struct service *s)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; s->client ? fz_client_counter(s->client, i, &name, &value)
				     : fz_gateway_counter(s->gateway, i, &name, &value);
	     i++)
		if (value > 0)
			say(FZ_LOG_INFO, "counter: %s: %" PRIu64, name, value);
}

/* ---- the loop ---- */

static enum exit_code exit_for(int err)
{
	return err == FZ_ERR_TOKEN ? EXIT_TOKEN : EXIT_FAILED;
}

static enum exit_code explain_start(const struct service *s, int err)
{
	switch (err) {
	case FZ_ERR_PERM:
		fprintf(stderr,
			"%s: the system refuses the tunnel device; CAP_NET_ADMIN is needed: run it as root\n",
			s->name);
		return EXIT_PRIVILEGE;
	case FZ_ERR_NOT_FOUND:
		fprintf(stderr, "%s: there is no /dev/net/tun; \"modprobe tun\"\n", s->name);
		return EXIT_NO_TUN;
	case FZ_ERR_STATE:
		fprintf(stderr,
			"%s: the interface tun-firezone is in use; stop the other Firezone client or gateway "
			"first\n",
			s->name);
		return EXIT_RUNNING;
	default:
		fprintf(stderr, "%s: could not start: %s; the log lines before this one say why\n", s->name,
			fz_strerror(err));
		return EXIT_FAILED;
	}
}

static enum exit_code loop(const struct service *s, struct fz_run *run)
{
	struct fz_event ev;
	int err;

	for (;;) {
		if (want_stop) {
			say(FZ_LOG_INFO, "stopping");
			return EXIT_OK;
		}
		if (want_reset) {
			want_reset = 0;
			say(FZ_LOG_INFO, "starting over on SIGHUP");
			fz_run_reset(run);
		}
		err = fz_run_run(run);
		while (fz_run_poll_event(run, &ev)) {
			log_event(&ev);
			if (ev.type == FZ_EVENT_READY)
				notify_manager("READY=1");
			if (ev.type == FZ_EVENT_READY && s->exit_when_ready)
				return EXIT_OK;
			if (ev.type == FZ_EVENT_DEAD)
				return exit_for(ev.u.dead.err);
		}
		if (err < 0) {
			say(FZ_LOG_ERROR, "cannot go on: %s", fz_strerror(err));
			return exit_for(err);
		}
	}
}

enum exit_code service_run(const struct service *s)
{
	struct fz_run_opts opts = { .size = sizeof(opts), .no_watch = s->no_watch };
	struct fz_platform_linux_opts linux_opts = { .size = sizeof(linux_opts) };
	struct fz_platform platform;
	struct fz_run *run;
	enum exit_code code;
	int err;

	catch_signals();
	err = fz_platform_linux_new(s->env, &linux_opts, &platform);
	if (err != 0)
		return explain_start(s, err);
	err = s->client ? fz_run_client_new(s->env, s->client, &platform, &opts, &run)
			: fz_run_gateway_new(s->env, s->gateway, &platform, &opts, &run);
	if (err != 0) {
		fz_platform_free(&platform);
		return explain_start(s, err);
	}
	code = loop(s, run);
	notify_manager("STOPPING=1");
	fz_run_shutdown(run, 1000);
	log_counters(s);
	fz_run_free(run);
	fz_platform_free(&platform);
	return code;
}
