/* SPDX-License-Identifier: Apache-2.0 */
/* `fz-devportal ctl`: words to one request on the admin socket, the answer to the terminal. */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "main.h"

static const char help[] =
	"usage: fz-devportal ctl [--socket PATH] [--json] COMMAND [ARGUMENT...]\n"
	"Arguments: plain words, KEY=VALUE (the value is read as JSON where it is some, else as text), or a "
	"JSON object.\n"
	"\n"
	"look      state | config | events [DEVICE|- [EVENT]] [since=S] [clear=true] | flows\n"
	"          wait NAME|ROLE [timeout=10]        until that device is online (exit 1 when it is not)\n"
	"change    set KEY=VALUE...                   without arguments: show all settings\n"
	"          add-resource KEY=VALUE... | update-resource R KEY=VALUE... | remove-resource R\n"
	"          add-device KEY=VALUE... | update-device D KEY=VALUE... | remove-device D | add-site NAME\n"
	"          add-token KEY=VALUE... | revoke-token DEVICE|TOKEN | expire-token DEVICE|TOKEN in=S\n"
	"          revoke CLIENT|all RESOURCE|all     end grants; a new request is welcome\n"
	"          relays [list | add KEY=VALUE... | remove R | update R KEY=VALUE... | up R | down R]\n"
	"trouble   kick D [reason=token_expired] | close-channel D | close D [code=1000] | drop D "
	"[reset=true]\n"
	"          init D | push D EVENT KEY=VALUE...|payload=JSON | push-raw D TEXT\n"
	"          fail-next [status=503] [retry-after=S] [role=client] [count=1] [code=C] [detail=T]\n"
	"                    [content-type=T] [body=T] [location=URL]\n"
	"          fail-ingest [status=503] [retry-after=S] [location=URL] [count=1]\n"
	"          fail-join [reason=disabled] [role=client] [count=1] | fail-clear\n"
	"          pause [authorizations|heartbeats|joins|candidates|connects|all]... | resume [...]\n"
	"          stop\n"
	"D, R, CLIENT, RESOURCE: a name or an id. Exit status: 0 done, 1 refused, 2 wrong usage, 5 no portal "
	"there.\n";

static int dial(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	fprintf(stderr, "fz-devportal: no portal at %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static json_t *read_line(int fd)
{
	char *text = NULL;
	size_t len = 0;
	for (;;) {
		char *grown = realloc(text, len + 65536);
		if (grown == NULL)
			break;
		text = grown;
		ssize_t n = read(fd, text + len, 65536);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (text[len - 1] == '\n')
			break;
	}
	json_t *reply = text == NULL ? NULL : json_loadb(text, len, 0, NULL);
	free(text);
	return reply;
}

/* NULL: nobody there (said on standard error). */
static json_t *ask(const char *path, json_t *request)
{
	int fd = dial(path);
	if (fd < 0)
		return NULL;
	char *text = json_dumps(request, JSON_COMPACT), *line = xprintf("%s\n", text);
	json_t *reply = send_all(fd, line, strlen(line)) ? read_line(fd) : NULL;
	if (reply == NULL)
		fprintf(stderr, "fz-devportal: no answer from %s\n", path);
	free(line);
	free(text);
	close(fd);
	return reply;
}

/* "down"/"up" names etc. stay text; numbers, true, null, arrays, objects become what they are. */
static json_t *value_of(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	return value != NULL ? value : json_string(text);
}

static bool add_word(json_t *args, json_t *options, const char *word, bool raw)
{
	const char *equal = strchr(word, '=');
	if (raw) {
		json_array_append_new(args, json_string(word));
		return true;
	}
	if (word[0] == '{') {
		json_error_t error;
		json_t *object = json_loads(word, 0, &error);
		if (object == NULL) {
			fprintf(stderr, "fz-devportal: argument, line %d column %d: %s\n", error.line,
				error.column, error.text);
			return false;
		}
		json_object_update(options, object);
		json_decref(object);
	} else if (equal != NULL && equal != word) {
		char *key = xprintf("%.*s", (int)(equal - word), word);
		json_object_set_new(options, key, value_of(equal + 1));
		free(key);
	} else {
		json_array_append_new(args, json_string(word));
	}
	return true;
}

static void show_table(const json_t *list, const char *title, const char *const *keys)
{
	size_t i;
	json_t *row;
	printf("%s (%zu)\n", title, json_array_size(list));
	json_array_foreach(list, i, row)
	{
		fputs("  ", stdout);
		for (const char *const *key = keys; *key != NULL; key++) {
			const json_t *value = json_object_get(row, *key);
			if (json_is_string(value))
				printf("%-22s ", json_string_value(value));
			else if (json_is_boolean(value))
				printf("%-9s ", json_is_true(value) ? *key : "-");
			else if (json_is_integer(value))
				printf("%-12lld ", (long long)json_integer_value(value));
			else
				printf("%-22s ", "-");
		}
		putchar('\n');
	}
}

static void show_state(const json_t *state)
{
	static const char *const devices[] = { "name", "role", "online", "ipv4", "ipv6", "id", NULL };
	static const char *const resources[] = { "name", "type", "address", "site", "id", NULL };
	static const char *const grants[] = { "client", "responder", "resource", "expires_at", NULL };
	static const char *const relays[] = { "name", "mode", "up", "joined", "id", NULL };
	show_table(json_object_get(state, "devices"), "devices", devices);
	show_table(json_object_get(state, "resources"), "resources", resources);
	show_table(json_object_get(state, "authorizations"), "authorizations", grants);
	show_table(json_object_get(state, "relays"), "relays", relays);
	printf("flow records: %lld\n", (long long)json_int(state, "flows", 0));
}

static int show(const json_t *reply, const char *command, bool as_json)
{
	const json_t *result = json_object_get(reply, "result");
	if (!json_flag(reply, "ok", false)) {
		fprintf(stderr, "fz-devportal: %s\n", json_text(reply, "error"));
		return 1;
	}
	if (!as_json && strcmp(command, "state") == 0) {
		show_state(result);
	} else if (!as_json && json_is_string(result)) {
		puts(json_string_value(result));
	} else if (result != NULL && !json_is_null(result)) {
		json_dumpf(result, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	return 0;
}

static bool is_online(const json_t *state, const char *name)
{
	size_t i;
	json_t *s;
	json_array_foreach(json_object_get(state, "sessions"), i, s)
	{
		const char *id = json_text(s, "id");
		if (json_flag(s, "joined", false) &&
		    (strcmp(json_text(s, "name"), name) == 0 || strcmp(json_text(s, "role"), name) == 0 ||
		     (id != NULL && strcmp(id, name) == 0)))
			return true;
	}
	return false;
}

static int wait_online(const char *path, const json_t *args, const json_t *options)
{
	const char *name = json_string_value(json_array_get(args, 0));
	double left = json_number_value(json_object_get(options, "timeout"));
	if (json_object_get(options, "timeout") == NULL)
		left = 10;
	if (name == NULL) {
		fputs("fz-devportal: wait needs a device or a role\n", stderr);
		return 2;
	}
	json_t *request = json_pack("{s:s}", "command", "state");
	int status = 1;
	for (; status == 1 && left > 0; left -= 0.1) {
		json_t *reply = ask(path, request);
		if (reply == NULL)
			status = 5;
		else if (is_online(json_object_get(reply, "result"), name))
			status = 0;
		json_decref(reply);
		if (status == 1)
			nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	json_decref(request);
	if (status == 1)
		fprintf(stderr, "fz-devportal: %s did not come online\n", name);
	return status;
}

int ctl_main(int argc, char **argv)
{
	const char *path = default_socket(), *command = NULL;
	bool as_json = false, fine = true;
	json_t *args = json_array(), *options = json_object();
	int status = 2;
	for (int i = 0; fine && i < argc; i++) {
		bool raw = command != NULL && strcmp(command, "push-raw") == 0;
		if (!raw && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			fputs(help, stdout);
			status = 0;
			goto out;
		} else if (!raw && strcmp(argv[i], "--json") == 0) {
			as_json = true;
		} else if (!raw && (strcmp(argv[i], "--socket") == 0 || strcmp(argv[i], "-s") == 0) &&
			   i + 1 < argc) {
			path = argv[++i];
		} else if (!raw && strncmp(argv[i], "--", 2) == 0) {
			fprintf(stderr, "fz-devportal: unknown option %s\n", argv[i]);
			fine = false;
		} else if (command == NULL) {
			command = argv[i];
		} else {
			fine = add_word(args, options, argv[i], raw);
		}
	}
	if (command == NULL && fine)
		fputs(help, stderr);
	if (command == NULL || !fine)
		goto out;
	if (strcmp(command, "wait") == 0) {
		status = wait_online(path, args, options);
		goto out;
	}
	json_t *request = json_pack("{s:s, s:O, s:O}", "command", command, "args", args, "options", options);
	json_t *reply = ask(path, request);
	status = reply == NULL ? 5 : show(reply, command, as_json);
	json_decref(request);
	json_decref(reply);
out:
	json_decref(args);
	json_decref(options);
	return status;
}
