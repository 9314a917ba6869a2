/* SPDX-License-Identifier: Apache-2.0 */
/* One channel of c-ares asks one server after the other; a lookup has a channel per server instead, so that a
 * dead one costs no time. Channels are big (100 KB): they live as long as a lookup does. */
#include "ext/dnsres.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <ares.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "fzconn/error.h"

enum { CLASS_IN = 1, TYPE_A = 1, TYPE_AAAA = 28, DNS_PORT = 53 };
enum { PATIENCE_MS = 2000, GRACE_MS = 250 };

/* What a lookup learnt, the most telling last. */
enum finding { NOTHING, NO_ANSWER, REFUSED, GARBLED, NO_NAME, NO_RECORD, NO_MEMORY, NO_MARK };
static const char *const texts[] = {
	[NOTHING] = "there is no name server to ask",
	[NO_ANSWER] = "no name server answers",
	[REFUSED] = "the name servers fail or refuse",
	[GARBLED] = "the answers of the name servers are malformed",
	[NO_NAME] = "the name does not exist",
	[NO_RECORD] = "the name has no address",
	[NO_MEMORY] = "out of memory",
	[NO_MARK] = "the socket could not be marked to bypass the tunnel",
};

struct dnsres {
	const struct fz_env *env;
	dnsres_watch watch;
	dnsres_prepare prepare;
	void *ctx;
	struct dnsres_lookup *lookups;
	size_t lookups_len;
	uint32_t patience_ms;
	struct fz_addr servers[DNSRES_SERVERS_MAX]; /* none = those of the system */
	size_t servers_len;
};

struct question {
	struct dnsres_lookup *lookup;
	int type;
	unsigned channel;
};

struct dnsres_lookup {
	struct dnsres *r;
	struct dnsres_lookup *next;
	enum dnsres_state state;
	enum finding finding;
	bool by_tcp; /* second round */
	bool closing; /* what c-ares still says does not count */
	struct question questions[DNSRES_SERVERS_MAX][2];
	ares_channel channels[DNSRES_SERVERS_MAX];
	unsigned refused; /* channels (bits) whose server has no open port */
	size_t channels_len;
	unsigned asked, waiting, denied; /* questions of this round; no answer yet; "no such name" */
	uint64_t channels_us, round_us; /* c-ares' next deadline; end of this round */
	struct fz_ip addrs[DNSRES_ADDRS_MAX];
	size_t addrs_len;
	char host[256];
};

int dnsres_new(const struct fz_env *env, dnsres_watch watch, dnsres_prepare prepare, void *ctx,
	       struct dnsres **ret)
{
	struct dnsres *r;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return FZ_ERR_UNSUPPORTED;
	r = fz_zalloc(env, sizeof(*r));
	if (r == NULL) {
		ares_library_cleanup();
		return FZ_ERR_NOMEM;
	}
	r->env = env;
	r->watch = watch;
	r->prepare = prepare;
	r->ctx = ctx;
	r->patience_ms = PATIENCE_MS;
	*ret = r;
	return 0;
}

void dnsres_free(struct dnsres *r)
{
	if (r == NULL)
		return;
	while (r->lookups)
		dnsres_close(r->lookups);
	fz_free(r->env, r);
	ares_library_cleanup();
}

int dnsres_set_servers(struct dnsres *r, const struct fz_addr *servers, size_t len)
{
	if (len > DNSRES_SERVERS_MAX)
		return FZ_ERR_INVAL;
	for (size_t i = 0; i < len; i++)
		if (servers[i].ip.family == FZ_FAMILY_NONE)
			return FZ_ERR_INVAL;
	for (size_t i = 0; i < len; i++)
		r->servers[i] = servers[i];
	r->servers_len = len;
	return 0;
}

void dnsres_set_patience(struct dnsres *r, uint32_t ms)
{
	r->patience_ms = ms ? ms : PATIENCE_MS;
}

static void learn(struct dnsres_lookup *l, enum finding finding)
{
	if (finding > l->finding)
		l->finding = finding;
}

static void add(struct dnsres_lookup *l, uint8_t family, const void *bytes)
{
	struct fz_ip ip = { .family = family };

	memcpy(ip.b, bytes, family == FZ_FAMILY_INET ? 4 : 16);
	for (size_t i = 0; i < l->addrs_len; i++)
		if (fz_ip_equal(&l->addrs[i], &ip))
			return;
	if (l->addrs_len < DNSRES_ADDRS_MAX)
		l->addrs[l->addrs_len++] = ip;
}

/* What c-ares asks of us. */

static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct dnsres *r = ((struct dnsres_lookup *)ctx)->r;

	r->watch(r->ctx, fd, (readable ? DNSRES_READ : 0) | (writable ? DNSRES_WRITE : 0));
}

static int on_socket(ares_socket_t fd, int type, void *ctx)
{
	struct dnsres_lookup *l = ctx;

	(void)type;
	if (l->r->prepare == NULL || l->r->prepare(l->r->ctx, fd) >= 0)
		return 0;
	learn(l, NO_MARK);
	return -1;
}

static int parse_a(struct dnsres_lookup *l, const unsigned char *data, int len)
{
	struct ares_addrttl found[DNSRES_ADDRS_MAX];
	int n = DNSRES_ADDRS_MAX, status = ares_parse_a_reply(data, len, NULL, found, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		add(l, FZ_FAMILY_INET, &found[i].ipaddr);
	return status;
}

static int parse_aaaa(struct dnsres_lookup *l, const unsigned char *data, int len)
{
	struct ares_addr6ttl found[DNSRES_ADDRS_MAX];
	int n = DNSRES_ADDRS_MAX, status = ares_parse_aaaa_reply(data, len, NULL, found, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		add(l, FZ_FAMILY_INET6, &found[i].ip6addr);
	return status;
}

static void on_answer(void *ctx, int status, int timeouts, unsigned char *data, int len)
{
	const struct question *q = ctx;
	struct dnsres_lookup *l = q->lookup;

	(void)timeouts;
	if (l->closing)
		return;
	l->waiting--;
	if (status == ARES_SUCCESS)
		status = q->type == TYPE_A ? parse_a(l, data, len) : parse_aaaa(l, data, len);
	switch (status) {
	case ARES_SUCCESS:
		break;
	case ARES_ENOTFOUND:
		l->denied++;
		learn(l, NO_NAME);
		break;
	case ARES_ENODATA:
		learn(l, NO_RECORD);
		break;
	case ARES_ESERVFAIL:
	case ARES_ENOTIMP:
	case ARES_EREFUSED:
	case ARES_EFORMERR:
		learn(l, REFUSED);
		break;
	case ARES_EBADRESP:
	case ARES_EBADNAME:
		learn(l, GARBLED);
		break;
	case ARES_ENOMEM:
		learn(l, NO_MEMORY);
		break;
	case ARES_ECONNREFUSED:
		l->refused |= 1u << q->channel;
		learn(l, NO_ANSWER);
		break;
	default:
		learn(l, NO_ANSWER);
		break;
	}
}

/* Channels. */

static int open_channel(struct dnsres_lookup *l, ares_channel *ret)
{
	/* NOCHECKRESP: else a failure looks like a closed port once there is no further server */
	struct ares_options o = { .flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
				  .timeout = (int)l->r->patience_ms,
				  .tries = 1,
				  .sock_state_cb = on_socket_state,
				  .sock_state_cb_data = l };
	int status;

	if (l->by_tcp)
		o.flags |= ARES_FLAG_USEVC;
	if (l->r->servers_len)
		o.flags |= ARES_FLAG_NOSEARCH;
	status = ares_init_options(
		ret, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return status == ARES_ENOMEM ? FZ_ERR_NOMEM : FZ_ERR_IO;
	ares_set_socket_configure_callback(*ret, on_socket, l);
	return 0;
}

static void close_channels(struct dnsres_lookup *l)
{
	l->closing = true;
	for (size_t i = 0; i < l->channels_len; i++)
		ares_destroy(l->channels[i]);
	l->channels_len = 0;
	l->refused = 0;
	l->closing = false;
	l->channels_us = l->round_us = FZ_NEVER_US;
}

/* One more channel, which asks this server alone. */
static int add_channel(struct dnsres_lookup *l, struct ares_addr_port_node server)
{
	ares_channel channel;
	int err = open_channel(l, &channel);

	if (err)
		return err;
	l->channels[l->channels_len++] = channel;
	server.next = NULL;
	return ares_set_servers_ports(channel, &server) == ARES_SUCCESS ? 0 : FZ_ERR_NOMEM;
}

static int add_own(struct dnsres_lookup *l)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < l->r->servers_len; i++) {
		const struct fz_addr *a = &l->r->servers[i];
		struct ares_addr_port_node node = { .udp_port = a->port ? a->port : DNS_PORT };
		node.tcp_port = node.udp_port;
		node.family = a->ip.family == FZ_FAMILY_INET ? AF_INET : AF_INET6;
		memcpy(&node.addr, a->ip.b, sizeof(a->ip.b));
		err = add_channel(l, node);
	}
	return err;
}

static int add_system(struct dnsres_lookup *l)
{
	struct ares_addr_port_node *list = NULL, *at;
	ares_channel channel;
	int status, err = open_channel(l, &channel);

	if (err)
		return err;
	status = ares_get_servers_ports(channel, &list);
	ares_destroy(channel);
	if (status == ARES_ENOMEM)
		return FZ_ERR_NOMEM;
	for (at = list; err == 0 && at && l->channels_len < DNSRES_SERVERS_MAX; at = at->next)
		err = add_channel(l, *at);
	if (list)
		ares_free_data(list);
	return err;
}

/* Rounds. */

static void note_deadline(struct dnsres_lookup *l, uint64_t now_us)
{
	l->channels_us = FZ_NEVER_US;
	for (size_t i = 0; i < l->channels_len; i++) {
		struct timeval tv;
		if (ares_timeout(l->channels[i], NULL, &tv) == NULL)
			continue;
		/* c-ares looks at a clock of its own; a millisecond more than it asks for, and it agrees */
		uint64_t wait_us = (uint64_t)tv.tv_sec * 1000000u + (uint64_t)tv.tv_usec + 1000u;
		l->channels_us = fz_min_us(l->channels_us, now_us + wait_us);
	}
}

static int start_round(struct dnsres_lookup *l, uint64_t now_us)
{
	int err = l->r->servers_len ? add_own(l) : add_system(l);

	if (err)
		return err;
	l->denied = 0;
	l->asked = l->waiting = 2 * (unsigned)l->channels_len;
	/* a truncated answer is asked for again by TCP: that is twice the patience */
	l->round_us = now_us + FZ_MS(2 * (uint64_t)l->r->patience_ms);
	for (unsigned i = 0; i < l->channels_len; i++)
		for (int k = 0; k < 2; k++) {
			struct question *q = &l->questions[i][k];
			*q = (struct question){ l, k == 0 ? TYPE_A : TYPE_AAAA, i };
			ares_search(l->channels[i], l->host, CLASS_IN, q->type, on_answer, q);
		}
	return 0;
}

/* The system tells of a closed port once, and c-ares only one of our two questions. */
static void give_up_refused(struct dnsres_lookup *l)
{
	for (unsigned i = 0; i < l->channels_len; i++)
		if (l->refused & 1u << i)
			ares_cancel(l->channels[i]);
	l->refused = 0;
}

static void finish(struct dnsres_lookup *l, enum dnsres_state state)
{
	close_channels(l);
	l->state = state;
	if (state == DNSRES_DONE)
		fz_debug(l->r->env, "dns", "%s has %zu addresses", l->host, l->addrs_len);
	else
		fz_debug(l->r->env, "dns", "%s: %s", l->host, texts[l->finding]);
}

/* After every event: is the round over, and what comes next? */
static void advance(struct dnsres_lookup *l, uint64_t now_us)
{
	while (l->state == DNSRES_PENDING) {
		give_up_refused(l);
		if (l->waiting && l->addrs_len)
			l->round_us = fz_min_us(l->round_us, now_us + FZ_MS(GRACE_MS));
		if (l->waiting && now_us < l->round_us) {
			note_deadline(l, now_us);
			return;
		}
		if (l->addrs_len) {
			finish(l, DNSRES_DONE);
			return;
		}
		if (l->waiting)
			learn(l, NO_ANSWER);
		if (l->by_tcp || l->denied == l->asked) {
			finish(l, DNSRES_FAILED);
			return;
		}
		close_channels(l);
		l->by_tcp = true;
		if (start_round(l, now_us) < 0) {
			learn(l, NO_MEMORY);
			finish(l, DNSRES_FAILED);
		}
	}
}

/* Names that no server is asked for. */

static void read_hosts(struct dnsres_lookup *l, ares_channel channel, int family)
{
	struct hostent *found = NULL;

	if (ares_gethostbyname_file(channel, l->host, family, &found) != ARES_SUCCESS)
		return;
	for (char **at = found->h_addr_list; *at && found->h_addrtype == family; at++)
		add(l, family == AF_INET ? FZ_FAMILY_INET : FZ_FAMILY_INET6, *at);
	ares_free_hostent(found);
}

/* localhost and all below it, RFC 6761 section 6.3 */
static bool is_localhost(const char *host)
{
	size_t len = strlen(host);

	if (len && host[len - 1] == '.')
		len--;
	return len >= 9 && strncasecmp(host + len - 9, "localhost", 9) == 0 &&
	       (len == 9 || host[len - 10] == '.');
}

static int look_at_home(struct dnsres_lookup *l)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	ares_channel channel;
	struct fz_ip ip;
	int err;

	if (fz_ip_parse(l->host, &ip) == 0) {
		add(l, ip.family, ip.b);
		return 0;
	}
	err = open_channel(l, &channel);
	if (err)
		return err;
	read_hosts(l, channel, AF_INET);
	read_hosts(l, channel, AF_INET6);
	ares_destroy(channel);
	if (l->addrs_len == 0 && is_localhost(l->host)) {
		add(l, FZ_FAMILY_INET, v4);
		add(l, FZ_FAMILY_INET6, v6);
	}
	return 0;
}

/* Lookups. */

int dnsres_start(struct dnsres *r, const char *host, struct dnsres_lookup **ret, uint64_t now_us)
{
	size_t len = strlen(host);
	struct dnsres_lookup *l;
	int err;

	if (len == 0 || len > 254 || strpbrk(host, "/?#@[] \t\r\n"))
		return FZ_ERR_INVAL;
	if (r->lookups_len >= DNSRES_LOOKUPS_MAX)
		return FZ_ERR_FULL;
	l = fz_zalloc(r->env, sizeof(*l));
	if (l == NULL)
		return FZ_ERR_NOMEM;
	l->r = r;
	l->channels_us = l->round_us = FZ_NEVER_US;
	memcpy(l->host, host, len + 1);
	l->next = r->lookups;
	r->lookups = l;
	r->lookups_len++;
	err = look_at_home(l);
	if (err == 0 && l->addrs_len == 0)
		err = start_round(l, now_us);
	if (err) {
		dnsres_close(l);
		return err;
	}
	advance(l, now_us);
	*ret = l;
	return 0;
}

enum dnsres_state dnsres_state(const struct dnsres_lookup *l)
{
	return l->state;
}

size_t dnsres_addrs(const struct dnsres_lookup *l, const struct fz_ip **ret)
{
	*ret = l->addrs;
	return l->addrs_len;
}

const char *dnsres_error(const struct dnsres_lookup *l)
{
	return texts[l->finding];
}

int dnsres_err(const struct dnsres_lookup *l)
{
	switch (l->finding) {
	case NO_NAME:
	case NO_RECORD:
		return FZ_ERR_NOT_FOUND;
	case NO_ANSWER:
		return FZ_ERR_TIMEOUT;
	case NO_MEMORY:
		return FZ_ERR_NOMEM;
	case NO_MARK:
		return FZ_ERR_PERM;
	default:
		return FZ_ERR_IO;
	}
}

void dnsres_close(struct dnsres_lookup *l)
{
	struct dnsres *r;

	if (l == NULL)
		return;
	r = l->r;
	close_channels(l);
	for (struct dnsres_lookup **at = &r->lookups; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			r->lookups_len--;
			break;
		}
	fz_free(r->env, l);
}

void dnsres_handle_ready(struct dnsres *r, int fd, unsigned ready, uint64_t now_us)
{
	for (struct dnsres_lookup *l = r->lookups; l; l = l->next) {
		if (l->state != DNSRES_PENDING)
			continue;
		for (size_t i = 0; i < l->channels_len; i++)
			ares_process_fd(l->channels[i], ready & DNSRES_READ ? fd : ARES_SOCKET_BAD,
					ready & DNSRES_WRITE ? fd : ARES_SOCKET_BAD);
		advance(l, now_us);
	}
}

void dnsres_handle_timeout(struct dnsres *r, uint64_t now_us)
{
	for (struct dnsres_lookup *l = r->lookups; l; l = l->next) {
		if (l->state != DNSRES_PENDING || fz_min_us(l->channels_us, l->round_us) > now_us)
			continue;
		for (size_t i = 0; i < l->channels_len; i++)
			ares_process_fd(l->channels[i], ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		advance(l, now_us);
	}
}

uint64_t dnsres_next_timeout(const struct dnsres *r)
{
	uint64_t t = FZ_NEVER_US;

	for (const struct dnsres_lookup *l = r->lookups; l; l = l->next)
		t = fz_min_us(t, fz_min_us(l->channels_us, l->round_us));
	return t;
}
