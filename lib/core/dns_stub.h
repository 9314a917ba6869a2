/* SPDX-License-Identifier: Apache-2.0 */
/* The client's stub resolver: the name server behind the sentinel addresses. Names of DNS resources get proxy
 * addresses, names of device pools are asked of the portal, all others are passed on to the server behind the
 * sentinel, around the tunnel or through it, and SRV and TXT of resources to their site.
 *
 * Sans-IO: queries and results go in by dns_stub_handle_...(), each followed by dns_stub_poll() until it
 * gives false; what it gives is borrowed until the next call of anything here. An example of a turn:
 *
 *     err = dns_stub_handle_query(s, &origin, payload, len, now_us);
 *     while (dns_stub_poll(s, &out, now_us))
 *             switch (out.type) ...
 *
 * Every query that was accepted (0) is answered exactly once, with SERVFAIL where nothing better is to be
 * had. A server that is silent is not waited for: others of the list are asked while it may still answer, and
 * for a while they are asked first. */
#ifndef CORE_DNS_STUB_H
#define CORE_DNS_STUB_H

#include "core/dns_servers.h"
#include "core/proxy_ips.h"
#include "wire/dns.h"
#include "wire/portal_events.h"

struct route_table;
struct dns_stub;

/* Queries under way; more are answered with SERVFAIL at once. */
#define DNS_STUB_QUERIES 1000
/* Bytes of all queries under way, and of one. */
#define DNS_STUB_BYTES (1024 * 1024)
#define DNS_STUB_QUERY_MAX 8192
/* Longest answer by UDP that fits into a packet of the tunnel, whatever the asker could take. */
#define DNS_STUB_UDP_MAX 1212
/* Addresses of our own making live this long. */
#define DNS_STUB_TTL 1
/* Port of the gateway's resolver, at its tunnel addresses. */
#define DNS_SITE_PORT 53535

/* Who asks. Comes back with the answer, of which it is the destination. */
struct dns_origin {
	struct fz_ip sentinel; /* that was asked, and answers */
	struct fz_addr peer; /* UDP: where the answer goes */
	bool tcp;
	uint64_t request; /* TCP: the caller's own */
};

enum dns_out_type {
	DNS_OUT_ANSWER, /* answer the origin */
	DNS_OUT_EXCHANGE, /* ask a server; hand the result to dns_stub_handle_answer() */
	DNS_OUT_POOL, /* ask the portal for a device's addresses; dns_stub_handle_pool() */
	DNS_OUT_NAME /* a name of a resource was asked for: renew its translations at the gateways */
};
enum dns_path {
	DNS_PATH_DIRECT, /* around the tunnel */
	DNS_PATH_TUNNEL, /* a resource is on the way: from our tunnel address */
	DNS_PATH_SITE /* to port DNS_SITE_PORT of a gateway that serves the resource */
};

struct dns_exchange {
	uint64_t id;
	enum dns_path path;
	bool tcp; /* else UDP; of no meaning with a URL */
	struct fz_addr server; /* direct, tunnel */
	const char *url; /* DoH instead of server; direct only */
	struct fz_uuid resource; /* site */
	uint8_t family; /* site: of the gateway's address; enum fz_family */
	uint32_t timeout_ms;
	const uint8_t *data; /* the query, with its asker's id */
	size_t len;
};

struct dns_out {
	enum dns_out_type type;
	union {
		struct {
			struct dns_origin origin;
			const uint8_t *data;
			size_t len;
		} answer;
		struct dns_exchange exchange;
		struct {
			struct fz_uuid resource;
			const char *name; /* as text, without a dot at the end */
		} pool;
		struct {
			struct proxy_domain *domain;
			bool is_query; /* for an address: assignments are sent again even if they are known */
		} name;
	} u;
};

/* Counters; they only grow. */
struct dns_stub_stats {
	uint64_t queries, malformed, no_sentinel; /* the latter two are not answered */
	uint64_t repeated; /* of a query that is under way: no second answer */
	uint64_t cached, resource, pool, site, forwarded; /* by where the answer comes from */
	uint64_t failed; /* answered with SERVFAIL of our own */
	uint64_t full; /* of these: too much under way */
	uint64_t truncated; /* answers that did not fit */
	uint64_t late; /* results that nobody waits for any more */
	uint64_t strange; /* results that do not answer their query */
	uint64_t tries, silent; /* exchanges, and those that were not waited for */
};

/* The proxy addresses are borrowed: they may outlive the stub. */
int dns_stub_new(const struct fz_env *env, struct proxy_ips *ips, struct dns_stub **ret);
void dns_stub_free(struct dns_stub *s);
const struct dns_stub_stats *dns_stub_stats(const struct dns_stub *s);

/* ---- configuration; polling is due after each ---- */

/* The servers and their sentinels: configure the host with these. */
const struct dns_servers *dns_stub_servers(const struct dns_stub *s);
/* True: other sentinels are in effect. */
bool dns_stub_set_system(struct dns_stub *s, const struct fz_ip *servers, size_t n, uint64_t now_us);
/* FZ_ERR_NOMEM: nothing has changed. */
int dns_stub_set_portal(struct dns_stub *s, const struct portal_interface *i, bool *ret_changed,
			uint64_t now_us);
/* Work out anew which of the portal's servers are reached through the tunnel: all when the internet resource
 * is on, else those inside a network of the table. To be called after each change of resources; the table is
 * borrowed, so that a change of servers needs no call. */
void dns_stub_route(struct dns_stub *s, bool internet, const struct route_table *cidr);
/* Any change of resources empties the cache. An update is a removal and an addition. FZ_ERR_WIRE: its pattern
 * is not valid and will never match. FZ_ERR_FULL, FZ_ERR_NOMEM: the resource is not resolved here. */
int dns_stub_add_resource(struct dns_stub *s, const struct portal_resource *r);
void dns_stub_remove_resource(struct dns_stub *s, const struct fz_uuid *id, uint64_t now_us);
/* The network is another one: ask everything again that is under way, and think well of every server. */
void dns_stub_reset(struct dns_stub *s, uint64_t now_us);

/* ---- inputs ---- */

/* FZ_ERR_WIRE: malformed; a TCP connection is to be closed. FZ_ERR_NOT_FOUND: no such sentinel. Neither is
 * answered. */
int dns_stub_handle_query(struct dns_stub *s, const struct dns_origin *origin, const void *data, size_t len,
			  uint64_t now_us);
/* Result of an exchange: err 0 and the answer, with the id of the query, or why there is none. Unknown ids do
 * no harm. */
void dns_stub_handle_answer(struct dns_stub *s, uint64_t id, int err, const void *data, size_t len,
			    uint64_t now_us);
/* There is no access to the site of this exchange yet; it will be polled again after dns_stub_site_up(). */
void dns_stub_defer(struct dns_stub *s, uint64_t id);
void dns_stub_site_up(struct dns_stub *s, const struct fz_uuid *resource, uint64_t now_us);
/* Access was refused or lost: queries for the site fail. */
void dns_stub_site_down(struct dns_stub *s, const struct fz_uuid *resource, uint64_t now_us);
/* The portal's answer: NULL or unset addresses = the device has none of that family; rcode DNS_NOERROR,
 * DNS_NXDOMAIN (no such device) or DNS_SERVFAIL. */
void dns_stub_handle_pool(struct dns_stub *s, const struct fz_uuid *resource, const char *name, int rcode,
			  const struct fz_ip *ipv4, const struct fz_ip *ipv6, uint64_t now_us);

void dns_stub_handle_timeout(struct dns_stub *s, uint64_t now_us);
uint64_t dns_stub_next_timeout(const struct dns_stub *s);

/* ---- outputs ---- */

bool dns_stub_poll(struct dns_stub *s, struct dns_out *ret, uint64_t now_us);

#endif
