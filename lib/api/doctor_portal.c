/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "api/doctor.h"
#include "base/addr.h"
#include "api/endpoint_opts.h"
#include "fzconn/error.h"

#define JOIN_US FZ_SEC(10)

struct join {
	struct doctor *d;
	struct portal *portal;
	struct fz_stream *stream;
	bool is_open, is_up, has_init;
	int fatal;
	char reason[160];
};

static void drop_stream(struct join *j)
{
	if (j->stream)
		doctor_call(j->d, stream_close, j->stream);
	j->stream = NULL;
	j->is_open = false;
}

static void lose_stream(struct join *j, const char *reason)
{
	char text[160];

	snprintf(text, sizeof(text), "%s", reason ? reason : "connection closed"); /* it is the stream's */
	drop_stream(j);
	portal_handle_disconnected(j->portal, text, doctor_ask(j->d, now_us));
}

static void open_stream(struct join *j, const struct portal_out *out)
{
	struct fz_stream_opts o = { .size = sizeof(o),
				    .host = out->u.connect.host,
				    .port = out->u.connect.port,
				    .tls = out->u.connect.tls };
	int err = doctor_call(j->d, stream_open, &o, &j->stream);

	if (err != 0) {
		j->stream = NULL;
		portal_handle_disconnected(j->portal, fz_strerror(err), doctor_ask(j->d, now_us));
	}
}

static void add_relay(struct doctor *d, const struct portal_relay *r, const struct fz_addr *server)
{
	struct doctor_relay *to = &d->relays[d->relays_len];

	if (!fz_addr_set(server) || d->relays_len == DOCTOR_RELAYS_MAX ||
	    strlen(r->username) >= sizeof(to->username) || strlen(r->password) >= sizeof(to->password))
		return;
	to->server = *server;
	strcpy(to->username, r->username);
	strcpy(to->password, r->password);
	d->relays_len++;
}

static void take_init(struct join *j, const struct portal_event *ev)
{
	if (ev->type != PORTAL_EVENT_INIT)
		return;
	j->has_init = true;
	for (size_t i = 0; i < ev->u.init.relays_len; i++) {
		add_relay(j->d, &ev->u.init.relays[i], &ev->u.init.relays[i].ipv4);
		add_relay(j->d, &ev->u.init.relays[i], &ev->u.init.relays[i].ipv6);
	}
}

static void take_events(struct join *j)
{
	struct portal_out out;

	while (portal_poll_event(j->portal, &out)) {
		switch (out.type) {
		case PORTAL_OUT_CONNECT:
			open_stream(j, &out);
			break;
		case PORTAL_OUT_CLOSE:
			drop_stream(j);
			break;
		case PORTAL_OUT_UP:
			j->is_up = true;
			break;
		case PORTAL_OUT_DOWN:
			snprintf(j->reason, sizeof(j->reason), "%s", out.u.down.reason);
			break;
		case PORTAL_OUT_MESSAGE:
			take_init(j, &out.u.message);
			break;
		case PORTAL_OUT_FATAL:
			j->fatal = out.u.fatal.err;
			snprintf(j->reason, sizeof(j->reason), "%s", out.u.fatal.text);
			break;
		}
		portal_out_clear(j->portal, &out);
	}
}

static void read_stream(struct join *j)
{
	struct doctor *d = j->d;
	enum fz_stream_state state = doctor_call(d, stream_state, j->stream);
	uint8_t buf[16384];

	if (state == FZ_STREAM_FAILED) {
		lose_stream(j, doctor_call(d, stream_error, j->stream));
		return;
	}
	if (state == FZ_STREAM_OPEN && !j->is_open) {
		j->is_open = true;
		portal_handle_connected(j->portal, doctor_ask(d, now_us));
	}
	while (j->is_open) {
		int n = doctor_call(d, stream_recv, j->stream, buf, sizeof(buf));
		if (n == FZ_ERR_AGAIN)
			break;
		if (n <= 0)
			lose_stream(j, n == 0 ? NULL : doctor_call(d, stream_error, j->stream));
		else
			portal_handle_data(j->portal, buf, (size_t)n, doctor_ask(d, now_us));
	}
}

/* What the stream does not take at once is lost: for a handful of messages its buffer is always big enough.
 */
static void write_stream(struct join *j)
{
	struct doctor *d = j->d;
	uint8_t buf[4096];
	int n;

	while (j->is_open &&
	       (n = portal_poll_transmit(j->portal, buf, sizeof(buf), doctor_ask(d, now_us))) > 0)
		if (doctor_call(d, stream_send, j->stream, buf, (size_t)n) < n)
			lose_stream(j, "the stream does not take what is sent");
}

static int run(struct join *j)
{
	struct doctor *d = j->d;
	uint64_t until = doctor_ask(d, now_us) + JOIN_US;
	uint32_t ready;
	int err = 0;

	while (err == 0 && !j->has_init && j->fatal == 0 && doctor_ask(d, now_us) < until) {
		portal_handle_timeout(j->portal, doctor_ask(d, now_us));
		take_events(j);
		write_stream(j);
		take_events(j);
		err = doctor_call(d, wait, fz_min_us(until, portal_next_timeout(j->portal)), &ready);
		if (j->stream)
			read_stream(j);
		take_events(j);
	}
	portal_shutdown(j->portal, doctor_ask(d, now_us));
	write_stream(j);
	drop_stream(j);
	return err;
}

static void row(struct join *j, uint64_t took_us)
{
	struct doctor *d = j->d;
	struct fz_check *c =
		doctor_row(d, "control plane", j->has_init ? FZ_CHECK_OK : FZ_CHECK_FAIL, took_us);

	if (j->has_init) {
		doctor_say(c, "signed in, and told of %zu addresses of relays", d->relays_len);
		d->no_relays = d->relays_len ? NULL : "the portal told of no relay";
		return;
	}
	doctor_say(c, "not signed in: %s", j->reason[0] ? j->reason : "no answer");
	d->no_relays = "the relays are not known: they are told at sign-in";
	doctor_mend(c, j->fatal == FZ_ERR_TOKEN
			       ? "make a new token in the portal"
			       : "mend the row of the portal's host; let WebSockets through proxies");
}

int doctor_portal(struct doctor *d)
{
	struct fz_wg_key secret;
	struct fz_key key;
	uint64_t start_us = doctor_ask(d, now_us);
	struct join j = { .d = d };
	const struct portal_opts o = {
		.url = d->o.api_url ? d->o.api_url : FZ_DEFAULT_API_URL,
		.token = d->o.token,
		.external_id = d->o.id,
		.name = d->o.name,
		.user_agent = d->o.user_agent,
		.role = d->o.role == FZ_PORTAL_CLIENT ? PORTAL_ROLE_CLIENT : PORTAL_ROLE_GATEWAY,
	};
	int err;

	if (d->o.token == NULL) {
		doctor_say(doctor_row(d, "control plane", FZ_CHECK_SKIPPED, 0),
			   d->relays_len ? "the program runs, see its status"
					 : "without a token there is no signing in");
		return 0;
	}
	if (d->portal_away) {
		doctor_say(doctor_row(d, "control plane", FZ_CHECK_SKIPPED, 0), "the portal is not reached");
		return 0;
	}
	err = portal_new(d->env, &o, start_us, &j.portal, NULL);
	if (err != 0)
		return err;
	fz_wg_key_generate(d->env, &secret);
	memcpy(&key, &secret, sizeof(key)); /* nobody will ever use it */
	portal_set_public_key(j.portal, &key);
	err = run(&j);
	portal_free(j.portal);
	fz_wg_key_wipe(&secret);
	if (err == 0)
		row(&j, doctor_ask(d, now_us) - start_us);
	return err;
}
