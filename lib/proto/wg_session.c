/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_session.h"

#include <string.h>

#include "base/mem.h"

#define WORDS (WG_WINDOW / 64)

/* Forget the bits of counters from..to-1, fewer than WG_WINDOW of them. */
static void forget(struct wg_window *w, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t n = 64 - from % 64; /* bits up to the end of the word */
		if (n > to - from)
			n = to - from;
		w->seen[from / 64 % WORDS] &= n == 64 ? 0 : ~((((uint64_t)1 << n) - 1) << from % 64);
		from += n;
	}
}

void wg_window_mark(struct wg_window *w, uint64_t counter)
{
	if (counter >= w->next) {
		if (counter - w->next >= WG_WINDOW)
			memset(w->seen, 0, sizeof(w->seen));
		else
			forget(w, w->next, counter);
		w->next = counter + 1;
	}
	w->seen[counter / 64 % WORDS] |= (uint64_t)1 << counter % 64;
}

int wg_session_new(const struct fz_env *env, const struct wg_noise_keys *keys, uint32_t local_index,
		   uint32_t remote_index, bool we_initiated, uint64_t now_us, struct wg_session **ret)
{
	struct wg_session *s = fz_zalloc(env, sizeof(*s));
	int err;

	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->local_index = local_index;
	s->remote_index = remote_index;
	s->created_us = now_us;
	s->we_initiated = we_initiated;
	err = crypto_aead_init(&s->seal, &keys->send, true);
	if (err == 0)
		err = crypto_aead_init(&s->open, &keys->receive, false);
	if (err) {
		wg_session_free(env, s);
		return err;
	}
	*ret = s;
	return 0;
}

void wg_session_free(const struct fz_env *env, struct wg_session *s)
{
	if (s == NULL)
		return;
	crypto_aead_clear(&s->seal);
	crypto_aead_clear(&s->open);
	fz_free(env, s);
}

int wg_session_seal(struct wg_session *s, uint8_t *dst, const uint8_t *plain, size_t len)
{
	uint64_t counter = s->counter;
	int err;

	if (counter >= WG_COUNTER_END)
		return FZ_ERR_STATE;
	/* The counter is spent even if encryption fails half way: a nonce is never used twice. */
	s->counter++;
	err = crypto_aead_seal(&s->seal, counter, plain, len, dst + WG_HEADER_LEN);
	if (err)
		return err;
	wg_put_data_header(dst, s->remote_index, counter);
	return (int)(len + WG_OVERHEAD);
}

int wg_session_open(struct wg_session *s, uint8_t *dst, const uint8_t *msg, size_t len)
{
	uint64_t counter = wg_data_counter(msg);
	int err;

	if (!wg_window_accepts(&s->window, counter))
		return FZ_ERR_FULL;
	err = crypto_aead_open(&s->open, counter, msg + WG_HEADER_LEN, len - WG_HEADER_LEN, dst);
	if (err)
		return err;
	wg_window_mark(&s->window, counter);
	return (int)(len - WG_OVERHEAD);
}
