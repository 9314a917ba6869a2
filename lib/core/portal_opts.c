/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a portal channel: checked, then copied. */
#include <string.h>

#include "base/mem.h"
#include "core/portal_priv.h"
#include "fzconn/error.h"

#define TOKEN_MAX 8000 /* a portal reads header lines of up to 10,000 bytes */

/* The copy of a token, without the white space that copying and pasting leaves. NULL: refused or no memory.
 */
static char *copy_token(const struct fz_env *env, const char *token)
{
	size_t len = strlen(token), n = 0;
	char *copy = len <= TOKEN_MAX ? fz_zalloc(env, len + 1) : NULL;

	for (size_t i = 0; copy && i < len; i++)
		if (strchr(" \t\r\n\v\f", token[i]) == NULL)
			copy[n++] = token[i];
	return copy;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return true;
	return false;
}

static bool token_is_good(const char *token)
{
	for (; *token; token++)
		if (((unsigned char)*token < ' ' && strchr("\t\r\n\v\f", *token) == NULL) || *token == 127)
			return false;
	return true;
}

const char *portal_opts_check(const struct portal_opts *o)
{
	const char *const params[] = { o->name, o->device_serial, o->device_uuid };

	if (o->url == NULL || o->external_id == NULL || o->name == NULL || o->user_agent == NULL)
		return "URL, device id, name and user agent are needed";
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (params[i] && strlen(params[i]) > PORTAL_PARAM_MAX)
			return "name, serial or UUID longer than 255 bytes";
	if (strlen(o->user_agent) > 1024 || has_control(o->user_agent))
		return "user agent too long or with control characters";
	if (o->token && (strlen(o->token) > TOKEN_MAX || !token_is_good(o->token)))
		return "token too long or with control characters";
	return NULL;
}

bool portal_opts_copy(struct portal *p, const struct portal_opts *o)
{
	bool client = o->role == PORTAL_ROLE_CLIENT;

	p->name = fz_strdup(p->env, o->name);
	p->user_agent = fz_strdup(p->env, o->user_agent);
	if (p->name == NULL || p->user_agent == NULL)
		return false;
	if (o->token && (p->token = copy_token(p->env, o->token)) == NULL)
		return false;
	if (client && o->device_serial && (p->device_serial = fz_strdup(p->env, o->device_serial)) == NULL)
		return false;
	if (client && o->device_uuid && (p->device_uuid = fz_strdup(p->env, o->device_uuid)) == NULL)
		return false;
	return true;
}

bool portal_uses_tls(const struct portal *p)
{
	return p->url.tls;
}

int portal_set_token(struct portal *p, const char *token)
{
	char *copy;

	if (strlen(token) > TOKEN_MAX || !token_is_good(token))
		return FZ_ERR_INVAL;
	copy = copy_token(p->env, token);
	if (copy == NULL)
		return FZ_ERR_NOMEM;
	fz_free_secret(p->env, p->token);
	p->token = copy;
	return 0;
}
