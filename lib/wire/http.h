/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a WebSocket upgrade request: one HTTP/1.1 response (RFC 9112), read from bytes as they come.
 * libcurl of Debian 12 gives no WebSocket, so this is the one place where HTTP is read by hand; nothing else
 * than the answer to one GET without a body is understood. */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 16384 /* status line and headers */
#define HTTP_FIELDS_MAX 64
#define HTTP_BODY_MAX 16384 /* what is kept of a body; the rest is skipped */

struct http_field {
	const char *name, *value; /* NUL-terminated, blanks around the value removed */
};

struct http_head {
	unsigned status;
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t fields_len;
};

/* Length of the head up to and with its empty line; 0 = not complete yet; FZ_ERR_WIRE = longer than
 * HTTP_HEAD_MAX. */
int http_head_find(const void *data, size_t len);
/* Split a complete head of `len` bytes in place (it gets NUL characters). FZ_ERR_WIRE: not HTTP/1.x, a
 * malformed or folded field, a control character, too many fields. */
int http_head_decode(char *data, size_t len, struct http_head *ret);
/* Value of a field, name in any letter case; NULL = absent, and also when it is there twice. */
const char *http_field(const struct http_head *h, const char *name);

/* How a body ends. */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };
enum http_body_step { HTTP_CHUNK_SIZE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_TRAILER, HTTP_TRAILER_LINE };
struct http_body {
	enum http_framing framing;
	uint64_t left; /* of the body or chunk */
	enum http_body_step step;
	bool done, saw_size;
};
/* FZ_ERR_WIRE: contradictory or malformed framing fields. */
int http_body_init(const struct http_head *h, struct http_body *ret);
/* Read from data; payload bytes are appended to out as long as there is room. Returns the bytes taken (all,
 * unless the body ends before), FZ_ERR_WIRE on malformed chunks. */
int http_body_handle(struct http_body *b, const void *data, size_t len, char *out, size_t *out_len,
		     size_t out_cap);

/* Is the media type of a Content-Type value this one? Letter case and parameters do not count. */
bool http_media_type_is(const char *value, const char *type);
/* Retry-After of a response, in seconds: a number, or an IMF-fixdate, which is measured against the Date
 * field of the same response, so that no clock is needed. False = nothing usable. */
bool http_retry_after(const struct http_head *h, uint64_t *ret_s);

#endif
