/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

static int url_error(CURLUcode code)
{
	return code == CURLUE_OK ? 0 : code == CURLUE_OUT_OF_MEMORY ? FZ_ERR_NOMEM : FZ_ERR_INVAL;
}

int url_join(const struct fz_env *env, const char *base, const char *reference, char **ret)
{
	CURLU *u = curl_url();
	char *text = NULL;
	int err = u ? url_error(curl_url_set(u, CURLUPART_URL, base, 0)) : FZ_ERR_NOMEM;

	if (err == 0)
		err = url_error(curl_url_set(u, CURLUPART_URL, reference, 0));
	if (err == 0)
		err = url_error(curl_url_get(u, CURLUPART_URL, &text, 0));
	if (err == 0) {
		*ret = fz_strdup(env, text);
		err = *ret ? 0 : FZ_ERR_NOMEM;
	}
	curl_free(text);
	curl_url_cleanup(u);
	return err;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

int url_look(const char *url, struct url_facts *ret)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *port = NULL;
	int err = u ? url_error(curl_url_set(u, CURLUPART_URL, url, 0)) : FZ_ERR_NOMEM;

	if (err == 0)
		err = url_error(curl_url_get(u, CURLUPART_SCHEME, &scheme, 0));
	if (err == 0)
		err = url_error(curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT));
	if (err == 0)
		*ret = (struct url_facts){
			.is_https = strcmp(scheme, "https") == 0,
			.is_http = strcmp(scheme, "http") == 0,
			.has_user = has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD),
			.port = (uint16_t)strtoul(port, NULL, 10),
		};
	curl_free(port);
	curl_free(scheme);
	curl_url_cleanup(u);
	return err;
}
