/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_timers.h"

#include "base/rng.h"

/* rekey_on_receive = reject_after - keepalive - rekey_timeout, unanswered = keepalive + rekey_timeout
 * (WireGuard paper, sections 6.2 and 6.5). */
const struct wg_timing wg_timing_ice = {
	.rekey_after_ms = 120000,
	.rekey_on_receive_ms = 165000,
	.reject_after_ms = 180000,
	.send_cutoff_ms = 170000,
	.keepalive_ms = 10000,
	.unanswered_ms = 15000,
	.rekey_timeout_ms = 5000,
	.first_retry_ms = 1000, /* somebody waits: one lost datagram must not cost five seconds */
	.rekey_attempt_ms = 20000,
	.jitter_ms = 333,
	.expiry_ms = 540000,
	.rekey_idle_ms = 165000, /* before the send cut-off: an idle tunnel can be used at any time */
	.keepalive_from_first = true,
};

const struct wg_timing wg_timing_iceless = {
	.rekey_after_ms = 120000,
	.rekey_on_receive_ms = 173000,
	.reject_after_ms = 180000,
	.send_cutoff_ms = 170000,
	.keepalive_ms = 5000,
	.unanswered_ms = 7000,
	.rekey_timeout_ms = 2000,
	.rekey_attempt_ms = 90000,
	.jitter_ms = 333,
	.expiry_ms = 540000,
	.rekey_idle_ms = 180000,
	.keepalive_from_first = true,
};

const struct wg_timing wg_timing_standard = {
	.rekey_after_ms = 120000,
	.rekey_on_receive_ms = 165000,
	.reject_after_ms = 180000,
	.send_cutoff_ms = 180000,
	.keepalive_ms = 10000,
	.unanswered_ms = 15000,
	.rekey_timeout_ms = 5000,
	.rekey_attempt_ms = 90000,
	.jitter_ms = 333,
	.keepalive_from_first = true,
};

static uint64_t after(uint64_t start_us, uint32_t ms)
{
	return start_us == FZ_NEVER_US ? FZ_NEVER_US : start_us + FZ_MS(ms);
}

/* Nothing has happened yet, as at creation and after an expiry. */
static void forget(struct wg_timers *t, uint64_t now_us)
{
	t->established_us = now_us;
	t->traffic_us = now_us;
	t->unanswered_us = FZ_NEVER_US;
	t->unacknowledged_us = FZ_NEVER_US;
	t->attempt_us = FZ_NEVER_US;
	t->initiation_us = FZ_NEVER_US;
	t->scheduled_us = FZ_NEVER_US;
	t->we_initiated = false;
	t->sent_data = false;
	t->received_data = false;
}

void wg_timers_init(struct wg_timers *t, const struct wg_timing *timing, uint32_t persistent_keepalive_ms,
		    uint64_t now_us)
{
	*t = (struct wg_timers){ .timing = timing, .persistent_us = FZ_MS(persistent_keepalive_ms) };
	forget(t, now_us);
}

static void established(struct wg_timers *t, bool we_initiated, uint64_t now_us)
{
	t->established_us = now_us;
	t->traffic_us = now_us;
	t->unanswered_us = FZ_NEVER_US;
	t->we_initiated = we_initiated;
	t->sent_data = false;
	t->received_data = false;
	t->expired = false;
}

void wg_timers_initiation_sent(struct wg_timers *t, uint64_t now_us)
{
	if (t->expired) {
		forget(t, now_us);
		t->expired = false;
	}
	if (t->initiation_us == FZ_NEVER_US)
		t->attempt_us = now_us;
	t->initiation_us = now_us;
	t->traffic_us = now_us;
	t->scheduled_us = FZ_NEVER_US;
	t->unacknowledged_us = FZ_NEVER_US; /* any packet tells the peer that we are there */
}

void wg_timers_response_sent(struct wg_timers *t, uint64_t now_us)
{
	if (t->expired)
		forget(t, now_us);
	/* An initiation of ours that is under way stays so: the peer may answer it, or both sides may have
	 * begun. */
	established(t, false, now_us);
	t->unacknowledged_us = FZ_NEVER_US;
}

void wg_timers_response_received(struct wg_timers *t, uint64_t now_us)
{
	established(t, true, now_us);
	t->attempt_us = FZ_NEVER_US;
	t->initiation_us = FZ_NEVER_US;
	t->scheduled_us = FZ_NEVER_US;
}

/* What can start a handshake while none is under way. */
static uint64_t next_handshake(const struct wg_timers *t)
{
	uint64_t at = after(t->unanswered_us, t->timing->unanswered_ms);

	if (t->we_initiated && t->sent_data)
		at = fz_min_us(at, after(t->established_us, t->timing->rekey_after_ms));
	if (t->we_initiated && t->received_data)
		at = fz_min_us(at, after(t->established_us, t->timing->rekey_on_receive_ms));
	if (t->we_initiated && t->timing->rekey_idle_ms)
		at = fz_min_us(at, after(t->established_us, t->timing->rekey_idle_ms));
	return at;
}

static uint64_t next_persistent(const struct wg_timers *t)
{
	return t->persistent_us ? t->traffic_us + t->persistent_us : FZ_NEVER_US;
}

static uint64_t next_expiry(const struct wg_timers *t)
{
	uint64_t at = FZ_NEVER_US;

	if (t->timing->expiry_ms)
		at = after(t->established_us, t->timing->expiry_ms);
	if (wg_timers_in_flight(t))
		at = fz_min_us(at, after(t->attempt_us, t->timing->rekey_attempt_ms));
	return at;
}

/* When an initiation that nobody answered is repeated. */
static uint64_t next_retry(const struct wg_timers *t, bool can_send)
{
	uint64_t most = FZ_MS(t->timing->rekey_timeout_ms), least = FZ_MS(t->timing->first_retry_ms);
	uint64_t gap = t->initiation_us - t->attempt_us; /* so far, which doubles the time each time */

	if (can_send || least == 0 || gap > most)
		gap = most;
	return t->initiation_us + (gap < least ? least : gap);
}

uint64_t wg_timers_next_timeout(const struct wg_timers *t, bool can_send)
{
	uint64_t at;

	if (t->expired)
		return FZ_NEVER_US;
	if (t->scheduled_us != FZ_NEVER_US)
		return t->scheduled_us;
	at = next_expiry(t);
	if (wg_timers_in_flight(t))
		return fz_min_us(at, next_retry(t, can_send));
	at = fz_min_us(at, next_handshake(t));
	at = fz_min_us(at, next_persistent(t));
	if (can_send)
		at = fz_min_us(at, after(t->unacknowledged_us, t->timing->keepalive_ms));
	return at;
}

static enum wg_due schedule(struct wg_timers *t, const struct fz_env *env, uint64_t now_us)
{
	uint32_t jitter_us = fz_rng_below(env, t->timing->jitter_ms * 1000 + 1);

	if (jitter_us == 0)
		return WG_DUE_INITIATION;
	t->scheduled_us = now_us + jitter_us;
	return WG_DUE_NOTHING;
}

enum wg_due wg_timers_handle_timeout(struct wg_timers *t, const struct fz_env *env, bool can_send,
				     uint64_t now_us)
{
	if (t->expired)
		return WG_DUE_NOTHING;
	if (t->scheduled_us != FZ_NEVER_US) {
		if (now_us < t->scheduled_us)
			return WG_DUE_NOTHING;
		t->scheduled_us = FZ_NEVER_US;
		return WG_DUE_INITIATION;
	}
	if (now_us >= next_expiry(t)) {
		forget(t, now_us);
		t->expired = t->persistent_us == 0; /* who wants to be reachable goes on trying */
		return WG_DUE_EXPIRY;
	}
	if (wg_timers_in_flight(t)) {
		if (now_us >= next_retry(t, can_send))
			return schedule(t, env, now_us);
		return WG_DUE_NOTHING;
	}
	if (now_us >= next_handshake(t))
		return schedule(t, env, now_us);
	if (now_us >= next_persistent(t)) {
		if (!can_send)
			return schedule(t, env, now_us);
		t->traffic_us = now_us; /* also if the packet gets lost on its way out */
		return WG_DUE_KEEPALIVE;
	}
	if (now_us >= after(t->unacknowledged_us, t->timing->keepalive_ms)) {
		t->unacknowledged_us = FZ_NEVER_US;
		return can_send ? WG_DUE_KEEPALIVE : WG_DUE_NOTHING;
	}
	return WG_DUE_NOTHING;
}
