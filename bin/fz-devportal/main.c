/* SPDX-License-Identifier: Apache-2.0 */
/* fz-devportal: a stand-in portal for development. Options, configuration, loop, end. */
#include "main.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin.h"
#include "authz.h"
#include "config.h"
#include "server.h"

enum { EXIT_RUNTIME = 1, EXIT_USAGE = 2, EXIT_CONFIG = 3, EXIT_LISTEN = 4 };

static const char help[] =
	"usage: fz-devportal [OPTION]...\n"
	"       fz-devportal ctl [--socket PATH] COMMAND [ARGUMENT...]      (fz-devportal ctl --help)\n"
	"A stand-in for the Firezone portal. A development tool, not for production.\n"
	"\n"
	"  -c, --config FILE       configuration, a JSON object (see README.md and example.json)\n"
	"  -l, --listen ADDR:PORT  may be repeated; [ADDR]:PORT for IPv6; port 0 = any (default "
	"127.0.0.1:8081)\n"
	"  -s, --socket PATH       admin socket (default $FZ_DEVPORTAL_SOCKET, else /run/fz-devportal.sock)\n"
	"      --state FILE        keep changes there, and start from it if it exists\n"
	"      --log-level LEVEL   error, warn, info or debug (default info)\n"
	"      --check             read the configuration, say what is wrong, exit\n"
	"  -h, --help, -V, --version\n"
	"Exit status: 0 clean end, 1 runtime failure, 2 wrong usage, 3 faulty configuration, 4 cannot "
	"listen.\n";

struct options {
	struct vec listen; /* of argv texts */
	const char *config, *socket, *state;
	bool check_only;
};

const char *default_socket(void)
{
	const char *path = getenv("FZ_DEVPORTAL_SOCKET");
	return path != NULL && path[0] != '\0' ? path : "/run/fz-devportal.sock";
}

/* -1: go on; else the exit status. */
static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "listen", required_argument, NULL, 'l' },
		{ "socket", required_argument, NULL, 's' },
		{ "state", required_argument, NULL, 'S' },
		{ "log-level", required_argument, NULL, 'L' },
		{ "check", no_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "c:l:s:hV", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'l':
			vec_push(&o->listen, optarg);
			break;
		case 's':
			o->socket = optarg;
			break;
		case 'S':
			o->state = optarg;
			break;
		case 'L':
			if (!log_set_level(optarg)) {
				fprintf(stderr,
					"fz-devportal: --log-level must be error, warn, info or debug\n");
				return EXIT_USAGE;
			}
			break;
		case 'C':
			o->check_only = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			printf("fz-devportal %s (development tool)\n", DEVPORTAL_VERSION);
			return 0;
		default:
			fputs("Try `fz-devportal --help`.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "fz-devportal: unexpected argument %s\nTry `fz-devportal --help`.\n", argv[optind]);
	return EXIT_USAGE;
}

static int report(int status, char *fault)
{
	fprintf(stderr, "fz-devportal: %s\n", fault);
	free(fault);
	return status;
}

/* The state file, once there is one, is the truth; the configuration then only says where to listen. */
static int load(struct portal *p, struct config *c, const struct options *o)
{
	char *fault = NULL;
	if (o->config != NULL && !config_load(c, &p->model, o->config, &fault))
		return report(EXIT_CONFIG, fault);
	if (o->state != NULL)
		set_text(&c->state_path, o->state);
	set_text(&p->state_path, c->state_path);
	if (c->state_path == NULL || access(c->state_path, F_OK) != 0)
		return -1;
	struct config ignored = { 0 };
	model_clear(&p->model);
	model_init(&p->model);
	bool fine = config_load(&ignored, &p->model, c->state_path, &fault);
	config_clear(&ignored);
	return fine ? -1 : report(EXIT_CONFIG, fault);
}

static bool watch_signals(struct portal *p)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd >= 0 && server_watch(p, fd, "signals", NULL);
}

static int start(struct portal *p, const struct config *c, const struct options *o, const char *socket_path)
{
	char *fault = NULL;
	if (!server_start(p, c))
		return report(c->tls_cert != NULL ? EXIT_CONFIG : EXIT_RUNTIME,
			      xstrdup("cannot set up the server (are the tls files readable?)"));
	if (!watch_signals(p))
		return report(EXIT_RUNTIME, xstrdup("cannot watch signals"));
	int fd = admin_open(socket_path, &fault);
	if (fd < 0 || !server_watch(p, fd, "admin-listener", NULL))
		return report(EXIT_LISTEN, fault != NULL ? fault : xstrdup("cannot watch the admin socket"));
	const struct vec *listen = o->listen.len > 0 ? &o->listen : &c->listen;
	bool fine = listen->len > 0 || server_listen(p, "127.0.0.1:8081", &fault);
	for (size_t i = 0; fine && i < listen->len; i++)
		fine = server_listen(p, listen->at[i], &fault);
	if (!fine) {
		unlink(socket_path);
		return report(EXIT_LISTEN, fault);
	}
	return -1;
}

static void portal_clear(struct portal *p)
{
	vec_clear(&p->pendings, pending_free);
	vec_clear(&p->failures, failure_free);
	for (size_t i = 0; i < p->events.len; i++)
		json_decref(p->events.at[i]);
	vec_clear(&p->events, NULL);
	json_decref(p->flows);
	json_decref(p->ingest_times);
	vec_clear(&p->buckets, free);
	vec_clear(&p->sessions, NULL);
	model_clear(&p->model);
	free(p->state_path);
}

static int serve(struct portal *p, const struct config *c, const struct options *o)
{
	const char *socket_path = o->socket != NULL        ? o->socket
				  : c->socket_path != NULL ? c->socket_path
							   : default_socket();
	fputs("fz-devportal: development tool, not for production\n", stderr);
	int status = start(p, c, o, socket_path);
	if (status < 0) {
		while (!admin_stop_asked() && lws_service(p->lws, 0) >= 0)
			;
		server_drain(p);
		state_write(p);
		unlink(socket_path);
		status = admin_stop_asked() ? 0 : EXIT_RUNTIME;
	}
	server_stop(p);
	return status;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return ctl_main(argc - 2, argv + 2);
	struct options o = { 0 };
	struct config c = { 0 };
	struct portal p = { .started_us = lws_now_usecs(),
			    .flows = json_object(),
			    .ingest_times = json_object() };
	model_init(&p.model);
	int status = read_options(&o, argc, argv);
	if (status < 0)
		status = load(&p, &c, &o);
	if (status < 0 && o.check_only) {
		puts("fz-devportal: the configuration is fine");
		status = 0;
	}
	if (status < 0)
		status = serve(&p, &c, &o);
	portal_clear(&p);
	config_clear(&c);
	vec_clear(&o.listen, NULL);
	return status;
}
