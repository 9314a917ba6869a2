/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/phx.h"

#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

static const char *name(const struct jv *root, const char *key)
{
	const char *s = jv_str(jv_get(root, key));

	return s && strlen(s) <= PHX_NAME_MAX ? s : NULL;
}

static int refuse(struct jv *root, const char *why, const char **ret_reason)
{
	jv_free(root);
	*ret_reason = why;
	return FZ_ERR_WIRE;
}

int phx_decode(const char *text, size_t len, struct phx_msg *ret, const char **ret_reason)
{
	struct jv *root = NULL;
	struct phx_msg m = { 0 };

	switch (jv_parse(text, len, &root)) {
	case JV_OK:
		break;
	case JV_CUT:
		*ret_reason = "message cut short";
		return FZ_ERR_STATE;
	case JV_TOO_BIG:
		*ret_reason = "message too big or too deep";
		return FZ_ERR_STATE;
	case JV_MALFORMED:
		*ret_reason = "not JSON";
		return FZ_ERR_WIRE;
	}
	if (jv_type(root) != JV_OBJECT)
		return refuse(root, "not an object", ret_reason);
	m.topic = name(root, "topic");
	m.event = name(root, "event");
	if (m.topic == NULL || m.event == NULL)
		return refuse(root, "no topic or no event", ret_reason);
	m.payload = jv_get(root, "payload");
	if (m.payload == NULL)
		return refuse(root, "no payload", ret_reason);
	const struct jv *ref = jv_get(root, "ref");
	m.has_ref = jv_u64(ref, &m.ref);
	if (!m.has_ref && !jv_is_null(ref))
		return refuse(root, "ref is neither a number nor null", ret_reason);
	m.root = root;
	*ret = m;
	return 0;
}

void phx_msg_clear(struct phx_msg *msg)
{
	jv_free(msg->root);
	*msg = (struct phx_msg){ 0 };
}

int phx_encode(const struct fz_env *env, const char *topic, const char *event, const struct jv *payload,
	       uint64_t ref, char **ret, size_t *ret_len)
{
	struct jv *root = jv_object();
	char *text = NULL;
	bool ok = jv_set_str(root, "topic", topic) && jv_set_str(root, "event", event);

	ok = ok && (payload ? jv_set(root, "payload", jv_share(payload)) : jv_set_null(root, "payload"));
	ok = ok && jv_set_u64(root, "ref", ref);
	if (ok)
		text = jv_dump(env, root, ret_len);
	jv_free(root);
	if (text == NULL)
		return FZ_ERR_NOMEM;
	*ret = text;
	return 0;
}

int phx_reply_decode(const struct phx_msg *msg, struct phx_reply *ret, const char **ret_reason)
{
	const char *status = jv_str(jv_get(msg->payload, "status"));
	const struct jv *response = jv_get(msg->payload, "response");
	struct phx_reply r = { PHX_OK, response, NULL };

	*ret_reason = NULL;
	if (strcmp(msg->event, "phx_reply") != 0 || status == NULL) {
		*ret_reason = "reply without a status";
	} else if (strcmp(status, "ok") == 0) {
		if (!jv_is_null(response) && jv_type(response) != JV_OBJECT)
			*ret_reason = "reply of an unknown kind";
	} else if (strcmp(status, "error") == 0) {
		r.status = PHX_ERROR;
		r.reason = jv_str(jv_get(response, "reason"));
		if (r.reason == NULL)
			*ret_reason = "error reply without a reason";
	} else {
		*ret_reason = "reply of an unknown status";
	}
	if (*ret_reason)
		return FZ_ERR_WIRE;
	*ret = r;
	return 0;
}
