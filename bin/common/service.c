/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "logger.h"
#include "loop.h"
#include "manager.h"
#include "metrics.h"
#include "privilege.h"
#include "report.h"
#include "summary.h"
#include "web.h"

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

/* ---- one run ---- */

struct running {
	const struct service *s;
	struct fz_platform platform;
	struct fz_run *run;
	struct loop loop;
	struct loop_source tunnel;
	struct control *control;
	struct web *health, *metrics;
	bool portal_up, configured;
	struct manager manager;
	struct report report;
	uint64_t started_us;
	bool want_reload;
};

/* The token may have been replaced by a new one. What is wrong with it is said; then the old one stays. */
static void read_token(const struct service *s)
{
	char *token = token_reload(s->token);
	int err = 0;

	if (token)
		err = s->client ? fz_client_set_token(s->client, token)
				: fz_gateway_set_token(s->gateway, token);
	if (err != 0)
		say(FZ_LOG_WARN, "the token stays: %s", fz_strerror(err));
	token_free(token);
}

static void reload(struct running *r)
{
	say(FZ_LOG_INFO, "reload: connecting to the portal again");
	read_token(r->s);
	fz_run_reconnect(r->run);
}

static void hang_up(struct running *r)
{
	say(FZ_LOG_INFO, r->s->client ? "SIGHUP: starting over, with a new key and new paths"
				      : "SIGHUP: connecting to the portal again");
	read_token(r->s);
	fz_run_reset(r->run);
}

static char *status(struct running *r)
{
	const struct summary about = { .program = r->s->facts->name,
				       .component = r->s->facts->component,
				       .uptime_us = loop_now_us() - r->started_us };
	char *text = NULL, *whole;

	if (fz_run_status(r->run, &text) != 0)
		return NULL;
	whole = summary_of_process(&about, text);
	fz_status_free(logger_env(), text);
	return whole;
}

/* For the control socket; a reload happens in the loop, not in the middle of an answer. */
static char *answer(void *ctx, const char *request)
{
	struct running *r = ctx;

	if (strcmp(request, "status") == 0)
		return status(r);
	if (strcmp(request, "reload") == 0) {
		r->want_reload = true;
		return strdup("{\"ok\":true}");
	}
	if (strncmp(request, "log ", 4) == 0 && logger_set_filter(request + 4)) {
		say(FZ_LOG_INFO, "the log filter is now \"%s\"", logger_filter());
		return strdup("{\"ok\":true}");
	}
	return strdup(strncmp(request, "log ", 4) == 0 ? "{\"error\":\"this is no log filter\"}"
						       : "{\"error\":\"this is no request\"}");
}

/* For the HTTP servers. */
static bool is_ready(void *ctx)
{
	const struct running *r = ctx;

	return r->portal_up && r->configured;
}

static char *scrape(void *ctx)
{
	char *snapshot = status(ctx), *text = snapshot ? metrics_text(snapshot) : NULL;

	free(snapshot);
	return text;
}

static const struct web_ops web_ops = { is_ready, scrape };

/* One server where both addresses are the same. */
static void open_web(struct running *r)
{
	const char *health = r->s->settings->health_addr, *metrics = r->s->settings->metrics_addr;

	if (metrics)
		r->metrics = web_open(&r->loop, metrics, true, &web_ops, r);
	if (health && (metrics == NULL || strcmp(health, metrics) != 0))
		r->health = web_open(&r->loop, health, false, &web_ops, r);
}

/* ---- the loop ---- */

static void note(struct running *r, const struct fz_event *ev)
{
	if (ev->type == FZ_EVENT_PORTAL_UP || ev->type == FZ_EVENT_PORTAL_DOWN)
		r->portal_up = ev->type == FZ_EVENT_PORTAL_UP;
	else if (ev->type == FZ_EVENT_READY)
		r->configured = true;
}

static bool is_over(struct running *r, enum exit_code *ret)
{
	struct fz_event ev;

	while (fz_run_poll_event(r->run, &ev)) {
		report_event(&r->report, &ev);
		note(r, &ev);
		if (ev.type == FZ_EVENT_DEAD) {
			*ret = end_of(r->s, ev.u.dead.err, ev.u.dead.text);
			return true;
		}
		if (ev.type == FZ_EVENT_READY) {
			manager_ready();
			*ret = EXIT_OK;
			if (r->s->exit_when_ready)
				return true;
		}
	}
	return false;
}

/* The tunnel is looked at in every turn; to be woken is all that is needed. */
static void tunnel_ready(struct loop_source *s)
{
	(void)s;
}

static int64_t sleep_us(const struct running *r)
{
	const uint64_t others[] = { manager_next_us(&r->manager), control_next_us(r->control),
				    web_next_us(r->health), web_next_us(r->metrics) };
	int64_t us = fz_run_timeout_us(r->run);
	uint64_t at = UINT64_MAX, now;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		at = others[i] < at ? others[i] : at;
	if (at == UINT64_MAX || us == 0)
		return us;
	now = loop_now_us();
	at = at > now ? at - now : 0;
	return us >= 0 && (uint64_t)us < at ? us : (int64_t)at;
}

static void handle_timeouts(struct running *r)
{
	const uint64_t now = loop_now_us();

	control_handle_timeout(r->control, now);
	web_handle_timeout(r->health, now);
	web_handle_timeout(r->metrics, now);
	manager_handle_timeout(&r->manager, now);
}

static void obey_signals(struct running *r)
{
	if (want_reset) {
		want_reset = 0;
		hang_up(r);
	}
	if (r->want_reload) {
		r->want_reload = false;
		reload(r);
	}
}

static enum exit_code turn_until_over(struct running *r)
{
	enum exit_code code;

	for (;;) {
		int err;
		if (want_stop) {
			say(FZ_LOG_INFO, "stopping: saying goodbye to peers and portal");
			return EXIT_OK;
		}
		obey_signals(r);
		err = fz_run_dispatch(r->run);
		if (is_over(r, &code))
			return code;
		if (err < 0)
			return end_of(r->s, err, fz_strerror(err));
		if (!loop_wait(&r->loop, sleep_us(r)))
			return end_of(r->s, FZ_ERR_DEAD, "the system refuses to wait");
		handle_timeouts(r);
	}
}

/* ---- begin and end ---- */

static int bind_to(const struct service *s, const struct fz_platform *platform, struct fz_run **ret)
{
	struct fz_run_opts opts = { .size = sizeof(opts),
				    .no_watch = s->settings->no_watch,
				    .no_forward = s->no_forward,
				    .flow_dir = s->facts->flow_dir };

	return s->client ? fz_run_client_new(logger_env(), s->client, platform, &opts, ret)
			 : fz_run_gateway_new(logger_env(), s->gateway, platform, &opts, ret);
}

/* Everything that may need a privilege. */
static enum exit_code begin(struct running *r)
{
	struct fz_platform_linux_opts opts = { .size = sizeof(opts), .dns_control = r->s->dns_control };
	int err = fz_platform_linux_new(logger_env(), &opts, &r->platform);

	if (err == 0)
		err = bind_to(r->s, &r->platform, &r->run);
	if (err != 0)
		return privilege_explain(err);
	r->tunnel = (struct loop_source){ fz_run_fd(r->run), tunnel_ready };
	if (!loop_open(&r->loop) || !loop_add(&r->loop, &r->tunnel))
		return privilege_explain(FZ_ERR_IO);
	r->control = control_open(&r->loop, r->s->settings->status_socket, answer, r);
	open_web(r);
	manager_begin(&r->manager, loop_now_us());
	privilege_drop();
	return EXIT_OK;
}

static void end(struct running *r)
{
	control_close(r->control);
	web_close(r->health);
	web_close(r->metrics);
	loop_close(&r->loop);
	fz_run_free(r->run);
	fz_platform_free(&r->platform);
}

enum exit_code service_run(const struct service *s)
{
	static struct running r; /* too big for the stack */
	enum exit_code code;

	r = (struct running){ .s = s, .loop.fd = -1, .started_us = loop_now_us() };
	privilege_raise_files();
	code = begin(&r);
	if (code == EXIT_OK) {
		catch_signals(r.run);
		code = turn_until_over(&r);
		manager_stopping();
		summary_log(r.run, loop_now_us() - r.started_us);
		fz_run_shutdown(r.run, GOODBYE_MS);
		ignore_signals();
	}
	end(&r);
	if (code == EXIT_OK)
		say(FZ_LOG_INFO, "goodbye");
	return code;
}
