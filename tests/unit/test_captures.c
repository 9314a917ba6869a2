/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded runs of other implementations (tests/vectors/captures): every STUN datagram decodes, every
 * MESSAGE-INTEGRITY and FINGERPRINT verifies, TURN credentials follow from the relay's secret, ChannelData is
 * exact. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "ext/crypto.h"
#include "wire/turn.h"

static const char *const files[] = { "direct", "relayed", "iceless-direct", "iceless-relayed",
				     "device-pool" };

#define TXNS 512
/* A request whose answer may come: its key signs the answer too. */
struct pending {
	struct stun_txid id;
	uint8_t key[64];
	size_t key_len;
};

struct tally {
	size_t stun, mac, unsigned_answers, fingerprints, channel_data;
	struct pending pending[TXNS];
	size_t n_pending;
	char passwords[16][2][64]; /* ICE username and password */
	size_t n_passwords;
};

static json_t *load(const char *name)
{
	char path[512];
	json_error_t err;

	snprintf(path, sizeof(path), TEST_VECTORS "/captures/%s.json", name);
	json_t *root = json_load_file(path, 0, &err);
	ck_assert_msg(root != NULL, "%s: %s", path, err.text);
	return root;
}

/* ICE credentials, wherever they stand in the portal's messages. */
static void collect_passwords(json_t *value, struct tally *t)
{
	const char *key, *username, *password;
	json_t *child;
	size_t i;

	if (json_is_array(value))
		json_array_foreach(value, i, child) collect_passwords(child, t);
	if (!json_is_object(value))
		return;
	username = json_string_value(json_object_get(value, "username"));
	password = json_string_value(json_object_get(value, "password"));
	if (username && password && strlen(username) == 4) {
		for (i = 0; i < t->n_passwords; i++)
			if (strcmp(t->passwords[i][0], username) == 0)
				return;
		ck_assert_uint_lt(t->n_passwords, 16);
		snprintf(t->passwords[i][0], 64, "%s", username);
		snprintf(t->passwords[i][1], 64, "%s", password);
		t->n_passwords++;
	}
	json_object_foreach(value, key, child) collect_passwords(child, t);
}

static void turn_key(const char *secret, const struct stun_msg *m, struct pending *p)
{
	char username[128], text[256], password[64];
	uint8_t digest[CRYPTO_SHA256_LEN];

	ck_assert_uint_lt(m->username.len, sizeof(username));
	memcpy(username, m->username.p, m->username.len);
	username[m->username.len] = '\0';
	char *salt = strchr(username, ':');
	ck_assert(salt != NULL);
	snprintf(text, sizeof(text), "%.*s:%s:%s", (int)(salt - username), username, secret, salt + 1);
	ck_assert_int_eq(crypto_sha256(text, strlen(text), NULL, 0, digest), 0);
	fz_b64_encode_nopad(password, digest, sizeof(digest));
	ck_assert_int_eq(stun_long_term_key(username, "firezone", password, p->key), 0);
	p->key_len = STUN_LONG_TERM_KEY_LEN;
}

static void ice_key(const struct tally *t, const struct stun_msg *m, struct pending *p)
{
	const uint8_t *colon = memchr(m->username.p, ':', m->username.len);

	ck_assert(colon != NULL);
	for (size_t i = 0; i < t->n_passwords; i++)
		if (strlen(t->passwords[i][0]) == (size_t)(colon - m->username.p) &&
		    memcmp(t->passwords[i][0], m->username.p, (size_t)(colon - m->username.p)) == 0) {
			p->key_len = strlen(t->passwords[i][1]);
			memcpy(p->key, t->passwords[i][1], p->key_len);
			return;
		}
	ck_abort_msg("no password for %.*s", m->username.len, (const char *)m->username.p);
}

static const struct pending *answered(const struct tally *t, const struct stun_msg *m)
{
	for (size_t i = t->n_pending; i-- > 0;)
		if (memcmp(&t->pending[i].id, &m->txid, sizeof(m->txid)) == 0)
			return &t->pending[i];
	return NULL;
}

static bool any_ice_key(const struct tally *t, const struct stun_msg *m)
{
	for (size_t i = 0; i < t->n_passwords; i++)
		if (stun_check_integrity(m, t->passwords[i][1], strlen(t->passwords[i][1])) == 0)
			return true;
	return false;
}

static void check_stun(struct tally *t, const char *secret, const uint8_t *data, size_t len)
{
	struct stun_msg m;
	struct turn_attrs attrs;
	const struct pending *key;

	ck_assert_int_eq(stun_decode(data, len, &m), 0);
	ck_assert_int_eq(turn_attrs_decode(&m, &attrs), 0);
	ck_assert_uint_eq(m.n_unknown, 0);
	t->stun++;
	if (m.fingerprint_at) {
		ck_assert_int_eq(stun_check_fingerprint(&m), 0);
		t->fingerprints++;
	}
	if (m.cls == STUN_REQUEST) {
		ck_assert_uint_lt(t->n_pending, TXNS);
		struct pending *p = &t->pending[t->n_pending++];
		*p = (struct pending){ .id = m.txid };
		if (m.method != STUN_BINDING)
			turn_key(secret, &m, p);
		else if (m.integrity_at)
			ice_key(t, &m, p);
		key = p;
	} else {
		key = answered(t, &m);
	}
	if (m.integrity_at && key) {
		ck_assert_int_eq(stun_check_integrity(&m, key->key, key->key_len), 0);
		t->mac++;
	} else if (m.integrity_at) {
		ck_assert(any_ice_key(t, &m)); /* the request was in a batch that the recorder cut */
		t->mac++;
	} else {
		t->unsigned_answers += m.cls != STUN_REQUEST;
	}
}

static void check_datagram(struct tally *t, const char *secret, json_t *dgram)
{
	const char *hex = json_string_value(json_object_get(dgram, "hex"));
	size_t want = (size_t)json_integer_value(json_object_get(dgram, "len"));
	uint8_t buf[2048];
	uint16_t number;

	if (strchr(hex, '.') != NULL)
		return; /* cut by the recorder */
	size_t len = unit_hex(buf, sizeof(buf), hex);
	ck_assert_uint_eq(len, want);
	if (turn_channel_looks_like(buf, len)) {
		int payload = turn_channel_decode(buf, len, &number);
		ck_assert_int_eq(payload, (int)len - TURN_CHANNEL_HEADER_LEN);
		ck_assert_uint_le(number, 0x4004);
		t->channel_data++;
		if (stun_looks_like(buf + 4, (size_t)payload))
			check_stun(t, secret, buf + 4, (size_t)payload);
	} else if (stun_looks_like(buf, len)) {
		check_stun(t, secret, buf, len);
	}
}

START_TEST(recorded_datagrams)
{
	static struct tally t;
	json_t *root = load(files[_i]), *dgram;
	const char *secret = json_string_value(
		json_object_get(json_array_get(json_object_get(root, "relays"), 0), "secret"));
	size_t i;

	memset(&t, 0, sizeof(t));
	collect_passwords(json_object_get(root, "portal"), &t);
	json_array_foreach(json_object_get(root, "udp"), i, dgram) check_datagram(&t, secret, dgram);
	json_decref(root);
	printf("%s: %zu STUN, %zu MACs, %zu fingerprints, %zu ChannelData\n", files[_i], t.stun, t.mac,
	       t.fingerprints, t.channel_data);
	ck_assert_uint_ge(t.stun, 10);
	ck_assert_uint_ge(t.mac, 6);
}
END_TEST

/* What a relay entry of the portal says is what the programs put on the wire. */
START_TEST(recorded_credentials)
{
	json_t *root = load(files[_i]), *message, *entry;
	const char *secret = json_string_value(
		json_object_get(json_array_get(json_object_get(root, "relays"), 0), "secret"));
	size_t i, k, seen = 0;

	json_array_foreach(json_object_get(root, "portal"), i, message)
		json_array_foreach(json_object_get(json_object_get(message, "payload"), "relays"), k, entry)
	{
		const char *username = json_string_value(json_object_get(entry, "username"));
		const char *password = json_string_value(json_object_get(entry, "password"));
		char text[256], got[64];
		uint8_t digest[CRYPTO_SHA256_LEN];
		if (username == NULL)
			continue;
		size_t expiry = strcspn(username, ":");
		snprintf(text, sizeof(text), "%.*s:%s:%s", (int)expiry, username, secret,
			 username + expiry + 1);
		ck_assert_int_eq(crypto_sha256(text, strlen(text), NULL, 0, digest), 0);
		fz_b64_encode_nopad(got, digest, sizeof(digest));
		ck_assert_str_eq(got, password);
		seen++;
	}
	json_decref(root);
	ck_assert_uint_ge(seen, 2);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("captures");
	TCase *c = tcase_create("captures");

	tcase_add_loop_test(c, recorded_datagrams, 0, 5);
	tcase_add_loop_test(c, recorded_credentials, 0, 5);
	suite_add_tcase(s, c);
	return s;
}
