/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sites.h"

#include <string.h>

#include "base/mem.h"
#include "base/time.h"

void sites_init(struct sites *s, const struct fz_env *env)
{
	*s = (struct sites){ .env = env, .next_us = FZ_NEVER_US };
}

struct site *sites_find(const struct sites *s, const struct fz_uuid *id)
{
	struct site *site = s->first;

	while (site && !fz_uuid_equal(&site->id, id))
		site = site->next;
	return site;
}

static bool rename_site(struct sites *s, struct site *site, const char *name)
{
	char *copy;

	if (name == NULL || (site->name && strcmp(site->name, name) == 0))
		return true;
	copy = fz_strdup(s->env, name);
	if (copy == NULL)
		return false;
	fz_free(s->env, site->name);
	site->name = copy;
	return true;
}

struct site *sites_ref(struct sites *s, const struct fz_uuid *id, const char *name)
{
	struct site *site = sites_find(s, id);

	if (site == NULL) {
		site = fz_zalloc(s->env, sizeof(*site));
		if (site == NULL)
			return NULL;
		site->id = *id;
		site->next = s->first;
		s->first = site;
	}
	site->refs++;
	if (rename_site(s, site, site->name || name ? name : ""))
		return site;
	sites_unref(s, site);
	return NULL;
}

void sites_unref(struct sites *s, struct site *site)
{
	struct site **at = &s->first;

	if (site == NULL || --site->refs > 0)
		return;
	while (*at != site)
		at = &(*at)->next;
	*at = site->next;
	fz_free(s->env, site->name);
	fz_free(s->env, site);
}

void sites_set_offline(struct sites *s, struct site *site, uint64_t now_us)
{
	if (site->up > 0)
		return;
	site->offline = true;
	site->offline_us = now_us;
	s->next_us = fz_min_us(s->next_us, now_us + SITE_OFFLINE_US);
}

void sites_gateway_up(struct site *site)
{
	site->up++;
	site->offline = false;
}

void sites_gateway_down(struct site *site)
{
	site->up--;
}

bool sites_handle_timeout(struct sites *s, uint64_t now_us)
{
	bool changed = false;

	if (now_us < s->next_us)
		return false;
	s->next_us = FZ_NEVER_US;
	for (struct site *site = s->first; site; site = site->next) {
		if (!site->offline)
			continue;
		if (now_us >= site->offline_us + SITE_OFFLINE_US) {
			site->offline = false;
			changed = true;
		} else {
			s->next_us = fz_min_us(s->next_us, site->offline_us + SITE_OFFLINE_US);
		}
	}
	return changed;
}
