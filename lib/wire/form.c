/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/form.h"

#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(const char *s, size_t len, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)s[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (len - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
				return false;
			c = hex(s[i + 1]) << 4 | hex(s[i + 2]);
			i += 2;
		}
		if (c == 0 || n + 1 >= cap)
			return false;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return true;
}

bool form_value(const char *query, const char *name, char *dst, size_t cap)
{
	size_t name_len = strlen(name);
	bool found = false;

	while (*query && *query != '#') {
		size_t len = strcspn(query, "&#");
		if (len > name_len && query[name_len] == '=' && memcmp(query, name, name_len) == 0) {
			if (found || !decode(query + name_len + 1, len - name_len - 1, dst, cap))
				return false;
			found = true;
		}
		query += len + (query[len] == '&');
	}
	return found;
}
