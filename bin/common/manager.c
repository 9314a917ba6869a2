/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

static void notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

/* Twice as often as asked for: one that comes late is no reason to be killed. */
void manager_begin(struct manager *m, uint64_t now_us)
{
	uint64_t limit_us = 0;

#ifdef HAVE_SYSTEMD
	if (sd_watchdog_enabled(0, &limit_us) <= 0)
		limit_us = 0;
#endif
	*m = (struct manager){ .every_us = limit_us / 2, .next_us = limit_us ? now_us : UINT64_MAX };
}

void manager_ready(void)
{
	notify("READY=1");
}

void manager_stopping(void)
{
	notify("STOPPING=1");
}

uint64_t manager_next_us(const struct manager *m)
{
	return m->every_us ? m->next_us : UINT64_MAX;
}

void manager_handle_timeout(struct manager *m, uint64_t now_us)
{
	if (manager_next_us(m) > now_us)
		return;
	notify("WATCHDOG=1");
	m->next_us = now_us + m->every_us;
}
