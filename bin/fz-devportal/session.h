/* SPDX-License-Identifier: Apache-2.0 */
/* One WebSocket of a client, gateway or relay and the channel on it. */
#ifndef DEVPORTAL_SESSION_H
#define DEVPORTAL_SESSION_H

#include "agent.h"
#include "portal.h"

/* What the HTTP request told, checked by connect_check(). Texts are borrowed. */
struct connect_request {
	const char *path, *token, *user_agent, *external_id, *name, *public_key, *ipv4, *ipv6, *port,
		*peer_ip;
};

struct session {
	struct portal *portal;
	struct lws *wsi;
	enum role role;
	bool v1; /* the old socket with its names */
	struct device *device; /* clients, gateways */
	struct token *token; /* NULL when any is accepted */
	struct relay *relay; /* relays, once joined */
	char public_key[KEY_TEXT_LEN + 1];
	struct agent agent;
	char *name, *user_agent, *peer_ip, *ipv4, *ipv6; /* name: of relays, as they say it */
	int port;
	bool joined, iceless, established;
	int64_t connected_at;
	json_t *relays_sent; /* entries as last told */
	struct vec out; /* of char *: frames to come */
	char *in;
	size_t in_len;
	int close_code; /* ask for a close frame once the queue is empty; 0 = no */
	bool cut, reset;
	lws_sorted_usec_list_t idle_timer, expiry_timer;
};

void session_free(struct session *s);
const char *session_name(const struct session *s);

/* From the network. False: the socket must be closed now. */
bool session_receive(struct session *s, const char *data, size_t len, bool last);
void session_open(struct session *s);

/* To the device. Payloads are stolen. */
void session_push(struct session *s, const char *event, json_t *payload);
void session_reply(struct session *s, const char *topic, json_t *ref, bool ok, json_t *response);
void session_send_text(struct session *s, char *frame); /* steals */

/* The orderly ends: `disconnect` with a reason and phx_close; phx_close alone; close frame; TCP cut. */
void session_disconnect(struct session *s, const char *reason);
void session_close_channel(struct session *s);
void session_close(struct session *s, int code);
void session_cut(struct session *s, bool with_reset);

/* The joined session of a device, or NULL. */
struct session *device_session(const struct device *d);
/* Everything that a (re)join pushes. */
void session_push_init(struct session *s);
json_t *interface_of(const struct portal *p, const struct device *d);
json_t *flow_logs_of(const struct portal *p);
/* Its token ends at another time than before. */
void session_watch_expiry(struct session *s);
/* When the session's token ends, unix seconds. */
int64_t session_expiry(const struct session *s);

#endif
