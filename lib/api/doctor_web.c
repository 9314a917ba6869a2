/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "api/doctor.h"
#include "base/addr.h"
#include "base/rng.h"
#include "base/text.h"
#include "fzconn/error.h"
#include "wire/portal_url.h"

#define HTTP_MS 6000
/* Names and pages together. */
#define WEB_US FZ_SEC(12)
/* Clocks that differ by less are drift. */
#define SKEW_S 30
#define AGENT "libfzconn-doctor"

/* What the service consists of, and what is missing without a part. */
static const struct {
	const char *name, *host;
	enum fz_check_verdict missing;
	const char *loss;
} hosts[] = {
	{ "app.firezone.dev:443", "app.firezone.dev", FZ_CHECK_WARN, "nobody can sign in" },
	{ "api.firezone.dev:443", "api.firezone.dev", FZ_CHECK_FAIL, "nothing works" },
	{ "flow-api.firezone.dev:443", "flow-api.firezone.dev", FZ_CHECK_WARN, "no flow logs are uploaded" },
	{ "sentry.firezone.dev:443", "sentry.firezone.dev", FZ_CHECK_NOTE,
	  "no crash reports are sent, which is the default" },
	{ "posthog.firezone.dev:443", "posthog.firezone.dev", FZ_CHECK_NOTE,
	  "built-in defaults of features are used, which is the default" },
	{ "github.com:443", "github.com", FZ_CHECK_WARN, "no releases can be fetched" },
	{ "www.firezone.dev:443", "www.firezone.dev", FZ_CHECK_WARN, "no newer release is seen" },
};
#define HOSTS (sizeof(hosts) / sizeof(*hosts))
#define API 1
/* Id of the name that does not exist. */
#define NOWHERE HOSTS

struct web {
	char host[HOSTS][256], url[HOSTS][300];
	struct {
		bool is_resolved, is_over;
		int name_err, err;
		uint16_t status;
		uint64_t took_us;
		char error[120];
	} got[HOSTS + 1];
	uint64_t start_us;
	unsigned waiting;
};

static bool is_literal(const char *host)
{
	struct fz_ip ip;

	return fz_ip_parse(host, &ip) == 0;
}

static int prepare(struct doctor *d, struct web *w)
{
	struct portal_url own;
	const char *reason;

	for (size_t i = 0; i < HOSTS; i++) {
		snprintf(w->host[i], sizeof(w->host[i]), "%s", hosts[i].host);
		snprintf(w->url[i], sizeof(w->url[i]), "https://%s/", hosts[i].host);
	}
	if (d->o.api_url == NULL)
		return 0;
	if (portal_url_parse(d->o.api_url, &own, &reason) != 0)
		return FZ_ERR_INVAL;
	snprintf(w->host[API], sizeof(w->host[API]), "%s", own.host);
	snprintf(w->url[API], sizeof(w->url[API]), own.is_ipv6 ? "%s://[%s]:%u/" : "%s://%s:%u/",
		 own.tls ? "https" : "http", own.host, own.port);
	return 0;
}

/* Everything at once; a question that cannot be asked is answered by that. */
static void begin(struct doctor *d, struct web *w)
{
	static const struct fz_http_header agent = { "user-agent", AGENT };
	char nowhere[64], hex[13];
	uint8_t random[6];

	d->env->rng.fill(d->env->rng.ctx, random, sizeof(random));
	fz_hex_encode(hex, random, sizeof(random));
	snprintf(nowhere, sizeof(nowhere), "fz-check-%s.firezone.dev", hex);
	for (size_t i = 0; i <= HOSTS; i++) {
		const char *name = i == NOWHERE ? nowhere : w->host[i];
		struct fz_http_request ask = { .size = sizeof(ask),
					       .id = i,
					       .method = "GET",
					       .url = w->url[i % HOSTS],
					       .headers = &agent,
					       .headers_len = 1,
					       .timeout_ms = HTTP_MS };
		w->got[i].name_err = is_literal(name) ? 0 : doctor_call(d, resolve, i, name);
		w->got[i].is_resolved = w->got[i].name_err != 0 || is_literal(name);
		w->waiting += !w->got[i].is_resolved;
		if (i == NOWHERE)
			continue;
		w->got[i].err = doctor_call(d, http_start, &ask);
		w->got[i].is_over = w->got[i].err != 0;
		w->waiting += !w->got[i].is_over;
	}
}

static void take_names(struct doctor *d, struct web *w)
{
	struct fz_resolved r;

	while (doctor_call(d, resolved, &r)) {
		if (r.id > NOWHERE || w->got[r.id].is_resolved)
			continue;
		w->got[r.id].is_resolved = true;
		w->got[r.id].name_err = r.err;
		w->waiting--;
	}
}

static void take_pages(struct doctor *d, struct web *w)
{
	struct fz_http_result r;

	while (doctor_call(d, http_result, &r)) {
		if (r.id >= HOSTS || w->got[r.id].is_over)
			continue;
		w->got[r.id].is_over = true;
		w->got[r.id].err = r.err == FZ_ERR_NOSPACE ? 0 : r.err; /* a long page is a page */
		w->got[r.id].status = r.status;
		w->got[r.id].took_us = doctor_ask(d, now_us) - w->start_us;
		snprintf(w->got[r.id].error, sizeof(w->got[r.id].error), "%s", r.error);
		w->waiting--;
		if (r.date_s && d->date_s == 0) {
			d->date_s = r.date_s;
			d->date_us = doctor_ask(d, now_us);
		}
	}
}

static int collect(struct doctor *d, struct web *w)
{
	uint64_t until = w->start_us + WEB_US;
	uint32_t ready;

	while (w->waiting > 0 && doctor_ask(d, now_us) < until) {
		int err = doctor_call(d, wait, until, &ready);
		if (err != 0)
			return err;
		take_names(d, w);
		take_pages(d, w);
	}
	for (size_t i = 0; i < HOSTS; i++) {
		if (!w->got[i].is_over) {
			doctor_call(d, http_cancel, i);
			w->got[i].err = FZ_ERR_TIMEOUT;
		}
		if (!w->got[i].is_resolved)
			w->got[i].name_err = FZ_ERR_TIMEOUT;
	}
	return 0;
}

/* ---- rows ---- */

static bool no_server_answers(const struct web *w)
{
	for (size_t i = 0; i < HOSTS; i++)
		if (!is_literal(w->host[i]) && w->got[i].name_err != FZ_ERR_TIMEOUT &&
		    w->got[i].name_err != FZ_ERR_IO)
			return false;
	return true;
}

static void host_row(struct doctor *d, const struct web *w, size_t i, bool no_names)
{
	const char *name = i == API && d->o.api_url ? "portal" : hosts[i].name;
	bool by_name = !is_literal(w->host[i]);
	struct fz_check *c;

	if (by_name && no_names) {
		doctor_say(doctor_row(d, name, FZ_CHECK_SKIPPED, 0), "names cannot be resolved");
	} else if (w->got[i].err == 0) {
		c = doctor_row(d, name, FZ_CHECK_OK, w->got[i].took_us);
		doctor_say(c, w->got[i].status ? "answers, with status %u" : "answers", w->got[i].status);
	} else if (by_name && w->got[i].name_err != 0) {
		c = doctor_row(d, name, hosts[i].missing, 0);
		doctor_say(c, "the name %s cannot be resolved (%s): %s", w->host[i],
			   fz_strerror(w->got[i].name_err), hosts[i].loss);
		doctor_mend(c, "let the name servers resolve it");
	} else {
		c = doctor_row(d, name, hosts[i].missing, w->got[i].took_us);
		doctor_say(c, "not reached (%s): %s",
			   w->got[i].error[0] ? w->got[i].error : fz_strerror(w->got[i].err), hosts[i].loss);
		doctor_mend(c, "let TCP to %s out, without breaking TLS open", w->url[i]);
	}
}

static void names_row(struct doctor *d, const struct web *w, bool no_names)
{
	struct fz_check *c;

	if (no_names) {
		c = doctor_row(d, "name servers", FZ_CHECK_FAIL, 0);
		doctor_say(c, "no name can be resolved: %s", fz_strerror(w->got[0].name_err));
		doctor_mend(c, "check /etc/resolv.conf, and let UDP and TCP 53 to its servers out");
	} else if (w->got[NOWHERE].is_resolved && w->got[NOWHERE].name_err == 0) {
		c = doctor_row(d, "name servers", FZ_CHECK_WARN, 0);
		doctor_say(c, "they invent addresses for names that do not exist");
		doctor_mend(c, "use name servers that answer truthfully");
	} else {
		doctor_say(doctor_row(d, "name servers", FZ_CHECK_OK, 0), "they answer, and invent no names");
	}
}

static void clock_row(struct doctor *d)
{
	uint64_t ours = doctor_ask(d, unix_ns) / 1000000000u;
	uint64_t theirs = d->date_s + (doctor_ask(d, now_us) - d->date_us) / 1000000u;
	uint64_t off = ours > theirs ? ours - theirs : theirs - ours;
	struct fz_check *c;

	if (d->date_s == 0) {
		doctor_say(doctor_row(d, "clock", FZ_CHECK_SKIPPED, 0), "no server told the time");
		return;
	}
	c = doctor_row(d, "clock", off > SKEW_S ? FZ_CHECK_WARN : FZ_CHECK_OK, 0);
	doctor_say(c, "%llu s %s the servers' clock", (unsigned long long)off,
		   ours > theirs ? "ahead of" : "behind");
	if (off > SKEW_S)
		doctor_mend(c, "set the clock, for example by \"timedatectl set-ntp true\"");
}

int doctor_web(struct doctor *d)
{
	struct web w = { .start_us = doctor_ask(d, now_us) };
	int err = prepare(d, &w);
	bool no_names;

	if (err != 0)
		return err;
	begin(d, &w);
	err = collect(d, &w);
	if (err != 0)
		return err;
	no_names = no_server_answers(&w);
	names_row(d, &w, no_names);
	d->portal_away = w.got[API].err != 0;
	for (size_t i = 0; i < HOSTS; i++)
		host_row(d, &w, i, no_names);
	clock_row(d);
	return 0;
}
