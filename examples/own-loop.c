/* SPDX-License-Identifier: Apache-2.0 */
/* A client in the program's own epoll loop: the program waits, for its own descriptors too, and lets the
 * library work when there is something to do.
 *
 *     FIREZONE_TOKEN=... own-loop ID [PORTAL-URL]     ends with 0 on end of input or a signal */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <fzconn/fzconn.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void show(struct fz_run *run)
{
	struct fz_event ev;

	while (fz_run_poll_event(run, &ev)) {
		if (ev.type == FZ_EVENT_PORTAL_UP)
			puts("signed in");
		else if (ev.type == FZ_EVENT_READY)
			puts("tunnel ready");
		else if (ev.type == FZ_EVENT_PEER_UP || ev.type == FZ_EVENT_PEER_PATH)
			printf("peer %u: %s\n", ev.u.peer.number, ev.u.peer.path);
		else if (ev.type == FZ_EVENT_DEAD)
			printf("ended: %s\n", ev.u.dead.text);
		fflush(stdout);
	}
}

/* The library's descriptor is one of ours; its deadline bounds our sleep. */
static int loop(struct fz_run *run)
{
	struct epoll_event ready, ours = { .events = EPOLLIN }, input = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC), err = 0;
	char line[256];

	ours.data.fd = fz_run_fd(run);
	input.data.fd = STDIN_FILENO;
	epoll_ctl(epoll, EPOLL_CTL_ADD, ours.data.fd, &ours);
	epoll_ctl(epoll, EPOLL_CTL_ADD, input.data.fd, &input);
	while (!stop && err == 0) {
		int64_t us = fz_run_timeout_us(run);
		int n = epoll_wait(epoll, &ready, 1, us < 0 ? -1 : (int)(us / 1000 + (us % 1000 != 0)));
		if (n < 0 && errno != EINTR)
			break;
		if (n == 1 && ready.data.fd == input.data.fd && read(STDIN_FILENO, line, sizeof(line)) <= 0)
			stop = 1; /* what the program itself has to do goes here */
		err = fz_run_dispatch(run);
		show(run);
	}
	close(epoll);
	return err;
}

int main(int argc, char **argv)
{
	struct fz_client_opts opts = { .size = sizeof(opts), .token = getenv("FIREZONE_TOKEN") };
	struct fz_client *client = NULL;
	struct fz_platform platform = { 0 };
	struct fz_run *run = NULL;
	int err;

	if (argc < 2 || opts.token == NULL) {
		fprintf(stderr, "usage: FIREZONE_TOKEN=... %s ID [PORTAL-URL]\n", argv[0]);
		return 2;
	}
	opts.id = opts.name = argv[1];
	opts.api_url = argv[2];
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	err = fz_platform_linux_new(NULL, NULL, &platform);
	if (err == 0)
		err = fz_client_new(NULL, &opts, platform.ops->now_us(platform.ctx), &client);
	if (err == 0)
		err = fz_run_client_new(NULL, client, &platform, NULL, &run);
	if (err == 0)
		err = loop(run);
	if (run)
		fz_run_shutdown(run, 1000);
	fz_run_free(run);
	fz_client_free(client);
	fz_platform_free(&platform);
	if (err != 0)
		fprintf(stderr, "%s: %s\n", argv[0], fz_strerror(err));
	return err != 0;
}
