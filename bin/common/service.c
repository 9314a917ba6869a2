/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "logger.h"
#include "privilege.h"
#include "report.h"

/* How long the last words to peers and portal may take. */
#define GOODBYE_MS 1000

/* ---- signals ---- */

/* Signal handlers have no other way to reach it. Set while the handlers are installed. */
static volatile sig_atomic_t want_stop, want_reset;
static struct fz_run *volatile running;

static void on_signal(int number)
{
	if (number == SIGHUP) {
		want_reset = 1;
	} else {
		if (want_stop)
			_exit(128 + number); /* whoever asks twice does not want to wait; the kernel tidies up
						most */
		want_stop = 1;
	}
	fz_run_wake(running);
}

static void catch_signals(struct fz_run *run)
{
	struct sigaction sa = { .sa_handler = on_signal };

	running = run;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGINT);
	sigaddset(&sa.sa_mask, SIGTERM);
	sigaddset(&sa.sa_mask, SIGHUP);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

/* From here on `running` may be freed: what comes is too late to change anything. */
static void ignore_signals(void)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
}

/* ---- words to others ---- */

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

/* ---- the end ---- */

static enum exit_code end_of(const struct service *s, int err, const char *text)
{
	switch (err) {
	case FZ_ERR_TOKEN:
		complain("%s; make a new one in the portal and put it into %s", text, s->token_home);
		return EXIT_TOKEN;
	case FZ_ERR_PORTAL:
		complain("%s; check --api-url, the name service and the way to the portal", text);
		return EXIT_PORTAL;
	case FZ_ERR_IO:
		complain("the tunnel interface is gone or broken, perhaps deleted by another program; start "
			 "it again");
		return EXIT_FAILED;
	default:
		complain("it cannot go on: %s", text);
		return EXIT_FAILED;
	}
}

/* ---- the loop ---- */

static bool is_over(const struct service *s, struct fz_run *run, struct report *report, enum exit_code *ret)
{
	struct fz_event ev;

	while (fz_run_poll_event(run, &ev)) {
		report_event(report, &ev);
		if (ev.type == FZ_EVENT_DEAD) {
			*ret = end_of(s, ev.u.dead.err, ev.u.dead.text);
			return true;
		}
		if (ev.type == FZ_EVENT_READY) {
			notify_manager("READY=1");
			*ret = EXIT_OK;
			if (s->exit_when_ready)
				return true;
		}
	}
	return false;
}

static enum exit_code loop(const struct service *s, struct fz_run *run)
{
	static struct report report; /* too big for the stack */
	enum exit_code code;
	int err;

	for (;;) {
		if (want_stop) {
			say(FZ_LOG_INFO, "stopping: saying goodbye to peers and portal");
			return EXIT_OK;
		}
		if (want_reset) {
			want_reset = 0;
			say(FZ_LOG_INFO, s->client ? "SIGHUP: starting over, with a new key and new paths"
						   : "SIGHUP: connecting to the portal again");
			fz_run_reset(run);
		}
		err = fz_run_run(run);
		if (is_over(s, run, &report, &code))
			return code;
		if (err < 0)
			return end_of(s, err, fz_strerror(err));
	}
}

static int bind_to(const struct service *s, const struct fz_platform *platform, struct fz_run **ret)
{
	struct fz_run_opts opts = { .size = sizeof(opts), .no_watch = s->no_watch };

	return s->client ? fz_run_client_new(s->env, s->client, platform, &opts, ret)
			 : fz_run_gateway_new(s->env, s->gateway, platform, &opts, ret);
}

enum exit_code service_run(const struct service *s)
{
	struct fz_platform_linux_opts opts = { .size = sizeof(opts), .dns_control = s->dns_control };
	struct fz_platform platform;
	struct fz_run *run;
	enum exit_code code;
	int err = fz_platform_linux_new(s->env, &opts, &platform);

	if (err != 0)
		return privilege_explain(err);
	err = bind_to(s, &platform, &run);
	if (err != 0) {
		fz_platform_free(&platform);
		return privilege_explain(err);
	}
	privilege_drop();
	catch_signals(run);
	code = loop(s, run);
	notify_manager("STOPPING=1");
	fz_run_shutdown(run, GOODBYE_MS);
	log_counters(s);
	ignore_signals();
	fz_run_free(run);
	fz_platform_free(&platform);
	if (code == EXIT_OK)
		say(FZ_LOG_INFO, "goodbye");
	return code;
}
