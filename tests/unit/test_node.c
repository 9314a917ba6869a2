/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes with a TURN server each and signalling carried by hand. What needs a whole network, relayed paths
 * above all, is tested through the client and the gateway. */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "core/node.h"
#include "fake_turn.h"
#include "packets.h"

struct side {
	struct node *node;
	struct fake_turn relay;
	struct fz_addr addr;
	unsigned events[NODE_NO_RELAYS + 1], packets;
	char detail[64];
	char signals[64][CAND_TEXT_MAX];
	bool gone[64];
	size_t n_signals;
};

static struct {
	struct unit_env u;
	uint64_t now;
	struct side a, b;
	bool cut; /* datagrams between the two are lost */
	uint8_t kept[2048]; /* the last data message from a to b */
	size_t kept_len;
} w;

static struct portal_relay relay_info(struct side *s, unsigned n)
{
	return (struct portal_relay){ .id = { { 1, (uint8_t)n } },
				      .ipv4 = s->relay.addr4,
				      .username = s->relay.username,
				      .password = s->relay.password };
}

static void make(struct side *s, unsigned n, uint32_t max_conns)
{
	struct node_opts opts = { .max_conns = max_conns };
	char text[40];

	fake_turn_init(&s->relay);
	s->relay.addr4.ip.b[3] = (uint8_t)(100 + n);
	s->relay.relayed4.ip.b[3] = (uint8_t)(100 + n);
	snprintf(text, sizeof(text), "203.0.113.%u:52625", 20 + n);
	ck_assert_int_eq(fz_addr_parse(text, &s->addr), 0);
	s->relay.mapped4 = s->addr;
	ck_assert_int_eq(node_new(&w.u.env, &opts, w.now, &s->node), 0);
	node_set_wall(s->node, w.now, 1780000000000000000u + w.now * 1000);
}

static void add_relay(struct side *s, unsigned n)
{
	struct portal_relay info = relay_info(s, n);

	node_update_relays(s->node, NULL, 0, &info, 1, w.now);
}

static struct side *owner_of(const struct fz_addr *addr)
{
	return fz_addr_equal(addr, &w.a.addr) ? &w.a : fz_addr_equal(addr, &w.b.addr) ? &w.b : NULL;
}

static void collect(struct side *s)
{
	const char *texts[CONN_SIGNALS_MAX];
	struct node_event ev;
	struct fz_uuid peer;
	struct fz_pkt pkt;
	size_t n;
	uint32_t ref;
	bool gone;

	while (node_next_packet(s->node, &pkt, &ref))
		s->packets++;
	while (node_poll_event(s->node, &ev)) {
		s->events[ev.type]++;
		snprintf(s->detail, sizeof(s->detail), "%s", ev.detail);
	}
	while (node_poll_signals(s->node, &peer, &gone, texts, &n)) {
		for (size_t i = 0; i < n && s->n_signals < 64; i++, s->n_signals++) {
			snprintf(s->signals[s->n_signals], CAND_TEXT_MAX, "%s", texts[i]);
			s->gone[s->n_signals] = gone;
		}
		node_free_texts(s->node, texts, n);
	}
}

static void deliver(struct side *from, const struct fz_udp_batch *b, uint8_t *data, size_t len)
{
	uint8_t answer[2048];
	struct side *to = owner_of(&b->remote);
	struct fz_udp_batch in = { .local = b->remote, .remote = from->addr, .data = data, .len = len };

	if (fz_addr_equal(&b->remote, &from->relay.addr4)) {
		int n = from->relay.silent || data[0] >= 0x40
				? 0
				: fake_turn_handle(&from->relay, &b->remote, data, len, answer,
						   sizeof(answer), w.now);
		/* The server's books are kept short. */
		if (from->relay.n > 400)
			from->relay.n = 0;
		if (from->relay.n_channels > 400)
			from->relay.n_channels = 0;
		in = (struct fz_udp_batch){ .local = from->addr, .remote = b->remote, .data = answer };
		in.len = in.seg_len = (uint16_t)(n > 0 ? n : 0);
		if (n > 0)
			node_handle_udp(from->node, &in, w.now);
		collect(from);
		return;
	}
	if (to == NULL || w.cut)
		return;
	if (from == &w.a && data[0] == 4 && len < sizeof(w.kept)) {
		memcpy(w.kept, data, len);
		w.kept_len = len;
	}
	in.seg_len = (uint16_t)len;
	node_handle_udp(to->node, &in, w.now);
	collect(to);
}

/* Everything that is due now, and what follows from it. */
static void settle(void)
{
	struct side *sides[] = { &w.a, &w.b };
	struct fz_udp_batch b;
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < 2; i++) {
			struct side *s = sides[i];
			if (s->node == NULL)
				continue;
			node_set_wall(s->node, w.now, 1780000000000000000u + w.now * 1000);
			if (node_next_timeout(s->node) <= w.now)
				node_handle_timeout(s->node, w.now);
			node_flush(s->node, w.now);
			while (node_peek_udp(s->node, &b)) {
				more = true;
				for (size_t at = 0; at < b.len; at += b.seg_len) {
					uint8_t copy[2048];
					size_t len = b.len - at < b.seg_len ? b.len - at : b.seg_len;
					memcpy(copy, b.data + at, len);
					deliver(s, &b, copy, len);
				}
				node_pop_udp(s->node);
				node_flush(s->node, w.now);
			}
			collect(s);
		}
	}
}

static void pass(uint64_t us)
{
	uint64_t end = w.now + us;

	while (w.now < end) {
		w.now += FZ_MS(10);
		settle();
	}
}

static void begin(uint32_t max_conns)
{
	memset(&w, 0, sizeof(w));
	unit_env_init(&w.u, 5);
	w.now = FZ_SEC(1000);
	make(&w.a, 1, max_conns);
	make(&w.b, 2, max_conns);
	add_relay(&w.a, 1);
	add_relay(&w.b, 2);
	pass(FZ_MS(100));
}

static void end(void)
{
	node_free(w.a.node);
	node_free(w.b.node);
	unit_env_check(&w.u);
}

static struct conn_params params_of(bool controlling, uint8_t id, uint8_t psk)
{
	struct conn_params p = { .id = { { id } },
				 .controlling = controlling,
				 .local_ufrag = controlling ? "aaaa" : "bbbb",
				 .local_pwd = controlling ? "passwordpasswordpassa" : "passwordpasswordpassb",
				 .remote_ufrag = controlling ? "bbbb" : "aaaa",
				 .remote_pwd =
					 controlling ? "passwordpasswordpassb" : "passwordpasswordpassa",
				 .profile = controlling ? PATH_CLIENT_DEFAULT : PATH_SERVER_DEFAULT,
				 .idle_profile = controlling ? PATH_CLIENT_IDLE : PATH_SERVER_IDLE };

	p.peer_key = *node_public_key(controlling ? w.b.node : w.a.node);
	p.psk.b[0] = psk;
	return p;
}

/* Hand over what each side wants to tell the other. */
static void exchange(void)
{
	struct side *sides[] = { &w.a, &w.b };

	settle();
	for (size_t i = 0; i < 2; i++) {
		struct side *from = sides[i], *to = sides[1 - i];
		struct fz_uuid id = { { i == 0 ? 'a' : 'b' } };
		for (size_t k = 0; k < from->n_signals; k++)
			(void)(from->gone[k] ? node_remove_candidate(to->node, &id, from->signals[k], w.now)
					     : node_add_candidate(to->node, &id, from->signals[k], w.now));
		from->n_signals = 0;
	}
	settle();
}

static uint32_t ref_a, ref_b;

static void join(uint8_t psk)
{
	struct conn_params a = params_of(true, 'b', psk), b = params_of(false, 'a', psk);

	ck_assert_int_eq(node_upsert(w.b.node, &b, w.now, &ref_b), 0);
	ck_assert_int_eq(node_upsert(w.a.node, &a, w.now, &ref_a), 0);
	exchange();
	pass(FZ_MS(100));
	ck_assert(node_conn(w.a.node, ref_a)->reported_up);
	ck_assert(node_conn(w.b.node, ref_b)->reported_up);
}

static int send(struct side *s, uint32_t ref, unsigned seed)
{
	uint8_t p[FZ_PKT_HEADROOM + 200];
	struct mk m = { .proto = 17, .payload = 20, .seed = seed };
	struct fz_pkt pkt = ip_pkt(p + FZ_PKT_HEADROOM, mk_packet(p + FZ_PKT_HEADROOM, &m));
	struct ip_view v;
	int err;

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	err = node_send(s->node, ref, &pkt, &v, w.now);
	settle();
	return err;
}

START_TEST(direct)
{
	begin(0);
	join(1);
	ck_assert_uint_eq(w.a.events[NODE_UP], 1);
	ck_assert_uint_eq(w.b.events[NODE_UP], 1);
	ck_assert_str_eq(conn_path_kind(node_conn(w.a.node, ref_a)), "direct");
	ck_assert_int_eq(send(&w.a, ref_a, 1), 0);
	ck_assert_uint_eq(w.b.packets, 1);
	ck_assert_int_eq(send(&w.b, ref_b, 1), 0);
	ck_assert_uint_eq(w.a.packets, 1);
	end();
}
END_TEST

/* Hours of traffic: new sessions all the time, and not one packet lost. */
START_TEST(a19_13_no_packet_is_lost)
{
	begin(0);
	join(1);
	for (unsigned i = 0; i < 1500; i++) {
		ck_assert_int_eq(send(&w.a, ref_a, i), 0);
		ck_assert_int_eq(send(&w.b, ref_b, i), 0);
		pass(FZ_SEC(1));
	}
	ck_assert_uint_eq(w.b.packets, 1500);
	ck_assert_uint_eq(w.a.packets, 1500);
	ck_assert_uint_ge(wg_peer_stats(node_conn(w.a.node, ref_a)->wg)->sessions, 12);
	ck_assert_uint_eq(w.a.events[NODE_FAILED] + w.a.events[NODE_CLOSED], 0);
	end();
}
END_TEST

START_TEST(goodbye)
{
	begin(0);
	join(1);
	node_close(w.a.node, ref_a, true, "test", w.now);
	settle();
	ck_assert_uint_eq(w.a.events[NODE_CLOSED], 1);
	ck_assert_uint_eq(w.b.events[NODE_CLOSED], 1);
	ck_assert_str_eq(w.b.detail, "the peer said goodbye");
	ck_assert_uint_eq(node_conns(w.a.node) + node_conns(w.b.node), 0);
	ck_assert_int_eq(send(&w.b, ref_b, 1), FZ_ERR_STATE);
	node_close(w.a.node, ref_a, true, "twice", w.now);
	ck_assert_uint_eq(w.a.events[NODE_CLOSED], 1);
	end();
}
END_TEST

/* The same parameters keep a connection; others replace it, and the old handle is dead. */
START_TEST(kept_and_replaced)
{
	uint32_t old_a, old_b;

	begin(0);
	join(1);
	old_a = ref_a;
	old_b = ref_b;
	join(1);
	ck_assert(ref_a == old_a && ref_b == old_b);
	ck_assert_int_eq(send(&w.a, ref_a, 1), 0);
	join(2);
	ck_assert(ref_a != old_a && ref_b != old_b);
	ck_assert_uint_eq(w.b.events[NODE_CLOSED], 1);
	ck_assert_int_eq(send(&w.a, old_a, 1), FZ_ERR_STATE);
	ck_assert_int_eq(send(&w.a, ref_a, 2), 0);
	ck_assert_uint_eq(w.b.packets, 2);
	ck_assert_uint_eq(node_conns(w.b.node), 1);
	end();
}
END_TEST

/* A recorded message, and one with a bit flipped. */
START_TEST(replay)
{
	struct fz_udp_batch in = { .local = w.b.addr, .remote = w.a.addr };

	begin(0);
	join(1);
	ck_assert_int_eq(send(&w.a, ref_a, 1), 0);
	ck_assert_uint_eq(w.b.packets, 1);
	in = (struct fz_udp_batch){
		.local = w.b.addr, .remote = w.a.addr, .data = w.kept, .len = w.kept_len
	};
	in.seg_len = (uint16_t)w.kept_len;
	for (int i = 0; i < 2; i++) {
		node_handle_udp(w.b.node, &in, w.now);
		collect(&w.b);
		w.kept[w.kept_len - 1] ^= 1;
	}
	ck_assert_uint_eq(w.b.packets, 1);
	ck_assert_uint_eq(node_stats(w.b.node)->drops[NODE_DROP_AUTH], 2);
	w.kept[5] ^= 0x55; /* somebody else's index */
	node_handle_udp(w.b.node, &in, w.now);
	ck_assert_uint_eq(node_stats(w.b.node)->drops[NODE_DROP_NO_CONN], 1);
	end();
}
END_TEST

START_TEST(no_candidate_within_ten_seconds)
{
	struct conn_params a;

	begin(0);
	a = params_of(true, 'b', 1);
	ck_assert_int_eq(node_upsert(w.a.node, &a, w.now, &ref_a), 0);
	pass(FZ_SEC(10) - FZ_MS(20));
	ck_assert_uint_eq(w.a.events[NODE_FAILED], 0);
	pass(FZ_MS(40));
	ck_assert_uint_eq(w.a.events[NODE_FAILED], 1);
	ck_assert_uint_eq(node_conns(w.a.node), 0);
	ck_assert_ptr_null(node_conn(w.a.node, ref_a));
	end();
}
END_TEST

START_TEST(peer_falls_silent)
{
	begin(0);
	join(1);
	w.cut = true;
	pass(FZ_SEC(21));
	ck_assert_uint_eq(w.a.events[NODE_FAILED], 1);
	end();
}
END_TEST

/* Without relays there is no connection, and the portal has to send some; with silent ones it ends when they
 * are given up. */
START_TEST(relays_missing_and_dead)
{
	struct conn_params a;
	struct fz_uuid id = { { 1, 1 } };

	begin(0);
	a = params_of(true, 'b', 1);
	node_update_relays(w.a.node, &id, 1, NULL, 0, w.now);
	settle();
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 1);
	pass(FZ_SEC(1));
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 1); /* said once */
	ck_assert_int_eq(node_upsert(w.a.node, &a, w.now, &ref_a), FZ_ERR_STATE);
	settle();
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 2);
	w.a.relay.silent = true;
	add_relay(&w.a, 1);
	ck_assert_int_eq(node_upsert(w.a.node, &a, w.now, &ref_a), 0);
	pass(FZ_SEC(15));
	ck_assert_uint_eq(node_conns(w.a.node), 0);
	ck_assert_uint_eq(w.a.events[NODE_FAILED], 1);
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 3);
	end();
}
END_TEST

/* A relay that was just named is not given up before its first requests had their time. */
START_TEST(a15_21_a_new_relay_has_time)
{
	struct fz_uuid id = { { 1, 1 } };

	begin(0);
	node_update_relays(w.a.node, &id, 1, NULL, 0, w.now);
	settle();
	w.a.events[NODE_NO_RELAYS] = 0;
	w.a.relay.silent = true;
	add_relay(&w.a, 1);
	settle();
	pass(FZ_SEC(5));
	ck_assert_uint_eq(node_relays(w.a.node)->len, 1);
	ck_assert(!node_relays(w.a.node)->v[0]->failed);
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 0);
	pass(FZ_SEC(15));
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 1);
	end();
}
END_TEST

/* What a relay gave is taken back when it goes; the best is named first. */
START_TEST(candidates_signalled)
{
	struct conn_params a;
	struct fz_uuid id = { { 1, 1 } };
	struct portal_relay other;

	begin(0);
	a = params_of(true, 'b', 1);
	ck_assert_int_eq(node_upsert(w.a.node, &a, w.now, &ref_a), 0);
	settle();
	ck_assert_uint_eq(w.a.n_signals, 3); /* host and both relayed; reflexive is the same as host */
	ck_assert_ptr_nonnull(strstr(w.a.signals[0], "typ host"));
	ck_assert_ptr_nonnull(strstr(w.a.signals[1], "typ relay"));
	ck_assert_ptr_nonnull(strstr(w.a.signals[0], "ufrag aaaa"));
	w.a.n_signals = 0;
	other = relay_info(&w.a, 9);
	node_update_relays(w.a.node, &id, 1, &other, 1, w.now);
	settle();
	ck_assert_uint_ge(w.a.n_signals, 2);
	ck_assert(w.a.gone[0] && w.a.gone[1]);
	ck_assert_ptr_nonnull(strstr(w.a.signals[0], "typ relay"));
	ck_assert_ptr_null(strstr(w.a.signals[0], "ufrag"));
	ck_assert_ptr_eq(node_conn(w.a.node, ref_a)->relay, relays_find(node_relays(w.a.node), &other.id));
	end();
}
END_TEST

START_TEST(reset)
{
	struct fz_key before;

	begin(0);
	join(1);
	before = *node_public_key(w.a.node);
	ck_assert_int_eq(node_reset(w.a.node, w.now), 0);
	settle();
	ck_assert_uint_eq(w.a.events[NODE_CLOSED], 1);
	ck_assert_uint_eq(w.b.events[NODE_CLOSED], 0); /* without a word */
	ck_assert_uint_eq(w.a.events[NODE_NO_RELAYS], 0);
	ck_assert_mem_ne(&before, node_public_key(w.a.node), sizeof(before));
	ck_assert_uint_eq(node_relays(w.a.node)->len, 0);
	ck_assert(!w.a.relay.allocated); /* given back */
	add_relay(&w.a, 1);
	pass(FZ_MS(100));
	join(3);
	ck_assert_int_eq(send(&w.a, ref_a, 1), 0);
	ck_assert_uint_eq(w.b.packets, 1);
	end();
}
END_TEST

/* ---- many ---- */

#define MANY 1000

static struct conn_params nth(unsigned i, char ufrag[16])
{
	struct conn_params p = params_of(false, 0, 1);

	p.id.b[14] = (uint8_t)(i >> 8);
	p.id.b[15] = (uint8_t)i;
	p.peer_key.b[0] ^= (uint8_t)(i + 1);
	p.peer_key.b[1] ^= (uint8_t)((i + 1) >> 8);
	snprintf(ufrag, 16, "u%u", i);
	p.local_ufrag = ufrag;
	return p;
}

START_TEST(a_thousand)
{
	static uint32_t refs[MANY];
	char ufrag[16], text[100];
	uint32_t ref = NODE_NO_REF;
	unsigned n = 0;

	begin(MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct conn_params p = nth(i, ufrag);
		ck_assert_int_eq(node_upsert(w.b.node, &p, w.now, &refs[i]), 0);
		ck_assert_uint_eq(node_find(w.b.node, &p.id), refs[i]);
		/* All of them have something to say at the same time. */
		snprintf(text, sizeof(text), "candidate:1 1 udp 2130706431 198.51.100.%u %u typ host",
			 i % 250, 1024 + i);
		ck_assert_int_eq(node_add_candidate(w.b.node, &p.id, text, w.now), 0);
	}
	struct conn_params more = nth(MANY, ufrag);
	ck_assert_int_eq(node_upsert(w.b.node, &more, w.now, &ref), FZ_ERR_FULL);
	settle();
	ck_assert_uint_eq(node_stats(w.b.node)->drops[NODE_DROP_QUEUE], 0);
	ref = NODE_NO_REF;
	while (node_walk(w.b.node, &ref))
		n++;
	ck_assert_uint_eq(n, MANY);
	pass(FZ_SEC(5));
	ck_assert_uint_eq(node_conns(w.b.node), MANY);
	ck_assert_uint_eq(node_stats(w.b.node)->drops[NODE_DROP_QUEUE], 0);
	for (unsigned i = 0; i < MANY; i++)
		for (unsigned k = i + 1; k < MANY; k++)
			ck_assert(refs[i] != refs[k]);
	/* A slot that is used again gets another handle. */
	for (unsigned round = 0; round < 50; round++) {
		struct conn_params p = nth(7, ufrag);
		uint32_t again;
		node_close(w.b.node, refs[7], false, "test", w.now);
		ck_assert_int_eq(node_upsert(w.b.node, &p, w.now, &again), 0);
		ck_assert(again != refs[7]);
		ck_assert_ptr_null(node_conn(w.b.node, refs[7]));
		refs[7] = again;
	}
	collect(&w.b);
	end();
}
END_TEST

START_TEST(failing_allocations)
{
	long n = 0;
	int err;

	do {
		struct node_opts opts = { .max_conns = 4 };
		char ufrag[16];
		memset(&w, 0, sizeof(w));
		unit_env_init(&w.u, 5);
		w.now = FZ_SEC(1000);
		make(&w.a, 1, 4);
		w.u.fail_at = w.u.allocs + ++n;
		err = node_new(&w.u.env, &opts, w.now, &w.b.node);
		if (err == 0) {
			fake_turn_init(&w.b.relay);
			add_relay(&w.b, 2);
			settle();
			struct conn_params p = nth(1, ufrag);
			err = node_upsert(w.b.node, &p, w.now, &ref_b);
			settle();
		}
		ck_assert(err == 0 || err == FZ_ERR_NOMEM || err == FZ_ERR_STATE);
		end();
	} while (w.u.allocs >= w.u.fail_at);
	ck_assert_int_gt(n, 20);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("node");

	unit_case(s, "life", direct, a19_13_no_packet_is_lost, goodbye, kept_and_replaced, reset);
	unit_case(s, "failure", no_candidate_within_ten_seconds, peer_falls_silent, relays_missing_and_dead,
		  a15_21_a_new_relay_has_time, replay);
	unit_case(s, "signalling", candidates_signalled);
	unit_case(s, "many", a_thousand, failing_allocations);
	return s;
}
