/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "signin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <fzconn/auth.h>

#include "logger.h"
#include "token.h"

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* One line without its end. False: no line, or a signal, which is only let in while nothing else can miss it.
 */
static bool read_line(int fd, const sigset_t *open_mask, char *buf, size_t cap)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 0;

	while (len < cap - 1 && ppoll(&p, 1, NULL, open_mask) == 1) {
		n = read(fd, buf + len, 1);
		if (n != 1 || buf[len] == '\n')
			break;
		len++;
	}
	buf[len] = '\0';
	return n == 1 && !caught;
}

static int open_terminal(struct termios *ret)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && tcgetattr(fd, ret) == 0)
		return fd;
	complain("there is no terminal to read the token from: %s; put it into the token file instead",
		 strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The token must not stay on the screen. A signal ends the program only after the echo is on again. */
static bool ask_hidden(const char *prompt, char *buf, size_t cap)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction sa = { .sa_handler = on_signal }, old[4];
	struct termios was, quiet;
	sigset_t blocked, open_mask;
	int fd = open_terminal(&was);
	bool good;

	if (fd < 0)
		return false;
	quiet = was;
	quiet.c_lflag &= (tcflag_t)~ECHO;
	sigemptyset(&blocked);
	for (int i = 0; i < 4; i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &sa, &old[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &open_mask);
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	printf("%s", prompt);
	fflush(stdout);
	good = read_line(fd, &open_mask, buf, cap);
	(void)tcsetattr(fd, TCSAFLUSH, &was);
	printf("\n");
	fflush(stdout);
	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &old[i], NULL);
	sigprocmask(SIG_SETMASK, &open_mask, NULL);
	close(fd);
	if (caught)
		raise(caught);
	if (!good)
		complain("no token was given");
	return good;
}

static void make_parents(const char *path)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *at = dir + 1; *dir && (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(dir, 0755); /* what fails shows when the file is made */
		*at = '/';
	}
}

/* Written beside it and then moved there: a reader sees the old token or the new one. */
static bool store(const char *path, const char *token)
{
	char temp[4096 + 8];
	size_t len = strlen(token);
	bool good;
	int fd;

	make_parents(path);
	snprintf(temp, sizeof(temp), "%s.new", path);
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	good = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, token, len) == (ssize_t)len && fsync(fd) == 0;
	if (fd >= 0)
		good = close(fd) == 0 && good;
	good = good && rename(temp, path) == 0;
	if (!good) {
		complain("the token cannot be stored in %s: %s", path, strerror(errno));
		if (fd >= 0)
			(void)unlink(temp);
	}
	return good;
}

static enum exit_code take_token(struct fz_signin *s, const char *path)
{
	char pasted[TOKEN_MAX + 64];
	enum exit_code code = EXIT_FAILED;

	printf("Open this address in a browser and sign in. The page ends with a token to copy:\n\n  %s\n\n",
	       fz_signin_url(s));
	if (ask_hidden("Enter the token from your browser: ", pasted, sizeof(pasted))) {
		if (fz_signin_handle_pasted(s, pasted) != 0) {
			complain("that is no token");
		} else if (store(path, fz_signin_token(s))) {
			printf("The token is stored in %s.\n", path);
			code = EXIT_OK;
		}
	}
	explicit_bzero(pasted, sizeof(pasted));
	return code;
}

enum exit_code sign_in(const char *base_url, const char *account, const char *token_path)
{
	const struct fz_signin_opts opts = { .size = sizeof(opts),
					     .base_url = base_url,
					     .account_slug = account,
					     .kind = FZ_SIGNIN_HEADLESS };
	struct fz_signin *s;
	enum exit_code code;

	if (fz_signin_new(NULL, &opts, &s) != 0) {
		complain("--auth-base-url must be an http or https address without a query, and "
			 "--account-slug the short "
			 "name of an account");
		return EXIT_USAGE;
	}
	code = take_token(s, token_path);
	fz_signin_free(s);
	return code;
}

static bool agrees(const char *path)
{
	char answer[16], *at = answer;

	printf("Delete the token in %s? [y/N] ", path);
	fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		answer[0] = '\0';
	at += strspn(at, " \t");
	at[strcspn(at, " \t\r\n")] = '\0';
	return strcasecmp(at, "y") == 0 || strcasecmp(at, "yes") == 0;
}

enum exit_code sign_out(const char *token_path, bool force)
{
	if (access(token_path, F_OK) != 0 && errno == ENOENT) {
		printf("There is no token in %s.\n", token_path);
		return EXIT_OK;
	}
	if (!force && !agrees(token_path)) {
		printf("The token stays.\n");
		return EXIT_OK;
	}
	if (unlink(token_path) != 0) {
		complain("%s cannot be deleted: %s", token_path, strerror(errno));
		return EXIT_FAILED;
	}
	printf("The token is deleted.\n");
	return EXIT_OK;
}
