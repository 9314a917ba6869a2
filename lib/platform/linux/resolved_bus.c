/* SPDX-License-Identifier: Apache-2.0 */
/* By sd-bus: the methods of org.freedesktop.resolve1.Manager for one link. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <systemd/sd-bus.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "fzconn/error.h"
#include "platform/linux/resolved.h"

#define SERVICE "org.freedesktop.resolve1"
#define OBJECT "/org/freedesktop/resolve1"
#define MANAGER SERVICE ".Manager"

#define PATIENCE_US FZ_MS(5000) /* for each answer; the service may have to be started first */

struct resolved {
	const struct fz_env *env;
	sd_bus *bus; /* NULL while nothing is under way */
	unsigned waiting; /* answers */
	int failed;
};

int resolved_new(const struct fz_env *env, struct resolved **ret)
{
	struct resolved *r = fz_zalloc(env, sizeof(*r));

	if (r == NULL)
		return FZ_ERR_NOMEM;
	r->env = env;
	*ret = r;
	return 0;
}

static void hang_up(struct resolved *r)
{
	sd_bus_close_unref(r->bus);
	r->bus = NULL;
	r->waiting = 0;
}

void resolved_free(struct resolved *r)
{
	if (r == NULL)
		return;
	hang_up(r);
	fz_free(r->env, r);
}

static int error_of(int number)
{
	return number == -ENOMEM ? FZ_ERR_NOMEM : FZ_ERR_IO;
}

static int dial(struct resolved *r)
{
	int n = 0;

	if (r->bus == NULL)
		n = sd_bus_open_system(&r->bus);
	if (n >= 0)
		return 0;
	fz_warn(r->env, "dns", "no system bus to reach systemd-resolved by: %s", strerror(-n));
	return error_of(n);
}

static int on_answer(sd_bus_message *m, void *ctx, sd_bus_error *ret_error)
{
	struct resolved *r = ctx;
	const sd_bus_error *e = sd_bus_message_get_error(m);

	(void)ret_error;
	r->waiting--;
	if (e != NULL) {
		fz_warn(r->env, "dns", "systemd-resolved: %s", e->message ? e->message : e->name);
		r->failed = FZ_ERR_IO;
	}
	return 0;
}

/* Of what older versions do not know, or what only makes it faster. */
static int on_spare_answer(sd_bus_message *m, void *ctx, sd_bus_error *ret_error)
{
	struct resolved *r = ctx;
	const sd_bus_error *e = sd_bus_message_get_error(m);

	(void)ret_error;
	r->waiting--;
	if (e != NULL)
		fz_debug(r->env, "dns", "systemd-resolved: %s", e->message ? e->message : e->name);
	return 0;
}

static int start(struct resolved *r, const char *method, sd_bus_message **ret)
{
	return sd_bus_message_new_method_call(r->bus, ret, SERVICE, OBJECT, MANAGER, method);
}

/* Sends and releases the message; n is what making it has come to. */
static int finish(struct resolved *r, sd_bus_message *m, int n, sd_bus_message_handler_t handler)
{
	if (n >= 0)
		n = sd_bus_call_async(r->bus, NULL, m, handler, r, PATIENCE_US);
	sd_bus_message_unref(m);
	if (n >= 0)
		r->waiting++;
	return n;
}

static int append_server(sd_bus_message *m, const struct fz_ip *ip)
{
	int n = sd_bus_message_open_container(m, 'r', "iay");

	if (n >= 0)
		n = sd_bus_message_append(m, "i", ip->family == FZ_FAMILY_INET ? AF_INET : AF_INET6);
	if (n >= 0)
		n = sd_bus_message_append_array(m, 'y', ip->b, fz_ip_len(ip));
	return n < 0 ? n : sd_bus_message_close_container(m);
}

static int set_dns(struct resolved *r, int link, const struct fz_ip *dns, size_t dns_len)
{
	sd_bus_message *m = NULL;
	int n = start(r, "SetLinkDNS", &m);

	if (n >= 0)
		n = sd_bus_message_append(m, "i", link);
	if (n >= 0)
		n = sd_bus_message_open_container(m, 'a', "(iay)");
	for (size_t i = 0; n >= 0 && i < dns_len; i++)
		n = append_server(m, &dns[i]);
	if (n >= 0)
		n = sd_bus_message_close_container(m);
	return finish(r, m, n, on_answer);
}

/* All names are the link's, whether there is a search domain or not. */
static int set_domains(struct resolved *r, int link, const char *search)
{
	sd_bus_message *m = NULL;
	int n = start(r, "SetLinkDomains", &m);

	if (n >= 0)
		n = search ? sd_bus_message_append(m, "ia(sb)", link, 2, search, 0, ".", 1)
			   : sd_bus_message_append(m, "ia(sb)", link, 1, ".", 1);
	return finish(r, m, n, on_answer);
}

static int set_word(struct resolved *r, int link, const char *method, const char *word)
{
	sd_bus_message *m = NULL;
	int n = start(r, method, &m);

	if (n >= 0)
		n = sd_bus_message_append(m, "is", link, word);
	return finish(r, m, n, on_spare_answer);
}

static int set_default(struct resolved *r, int link)
{
	sd_bus_message *m = NULL;
	int n = start(r, "SetLinkDefaultRoute", &m);

	if (n >= 0)
		n = sd_bus_message_append(m, "ib", link, 1);
	return finish(r, m, n, on_spare_answer);
}

static int revert(struct resolved *r, int link)
{
	sd_bus_message *m = NULL;
	int n = start(r, "RevertLink", &m);

	if (n >= 0)
		n = sd_bus_message_append(m, "i", link);
	return finish(r, m, n, on_spare_answer); /* the link may be gone */
}

static int flush(struct resolved *r)
{
	sd_bus_message *m = NULL;
	int n = start(r, "FlushCaches", &m);

	return finish(r, m, n, on_spare_answer);
}

/* The stub answers unsigned, in plain text and on port 53, and the tunnel carries no multicast, whatever the
 * system's defaults say. */
static int set_all(struct resolved *r, int link, const struct fz_ip *dns, size_t dns_len, const char *search)
{
	static const struct {
		const char *method, *word;
	} words[] = {
		{ "SetLinkLLMNR", "no" },
		{ "SetLinkMulticastDNS", "no" },
		{ "SetLinkDNSOverTLS", "no" },
		{ "SetLinkDNSSEC", "no" },
	};
	int n = 0;

	for (size_t i = 0; n >= 0 && i < sizeof(words) / sizeof(*words); i++)
		n = set_word(r, link, words[i].method, words[i].word);
	if (n >= 0)
		n = set_dns(r, link, dns, dns_len);
	if (n >= 0)
		n = set_domains(r, link, search);
	if (n >= 0)
		n = set_default(r, link);
	return n;
}

int resolved_set(struct resolved *r, uint32_t ifindex, const struct fz_ip *dns, size_t dns_len,
		 const char *search)
{
	int link = (int)ifindex, n, err;

	hang_up(r);
	r->failed = 0;
	err = dial(r);
	if (err)
		return err;
	n = dns_len ? set_all(r, link, dns, dns_len, search) : revert(r, link);
	if (n >= 0)
		n = flush(r);
	if (n >= 0)
		return 0;
	hang_up(r);
	return error_of(n);
}

int resolved_flush(struct resolved *r)
{
	int err = dial(r);

	return err ? err : flush(r) < 0 ? FZ_ERR_IO : 0;
}

int resolved_fd(const struct resolved *r, unsigned *ret_want)
{
	int events;

	if (r->bus == NULL)
		return -1;
	events = sd_bus_get_events(r->bus);
	*ret_want = (events & POLLIN ? RESOLVED_READ : 0) | (events & POLLOUT ? RESOLVED_WRITE : 0);
	return sd_bus_get_fd(r->bus);
}

uint64_t resolved_next_us(const struct resolved *r)
{
	uint64_t us;

	if (r->bus == NULL || sd_bus_get_timeout(r->bus, &us) < 0 || us == UINT64_MAX)
		return FZ_NEVER_US;
	return us;
}

int resolved_work(struct resolved *r)
{
	int n;

	if (r->bus == NULL)
		return 0;
	do
		n = sd_bus_process(r->bus, NULL);
	while (n > 0);
	if (n < 0) {
		fz_warn(r->env, "dns", "the system bus: %s", strerror(-n));
		r->failed = FZ_ERR_IO;
	} else if (r->waiting > 0) {
		return 0;
	}
	hang_up(r);
	n = r->failed;
	r->failed = 0;
	return n < 0 ? n : 1;
}
