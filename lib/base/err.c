/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/error.h"
#include "fzconn/version.h"

static const struct {
	int err;
	const char *text;
} texts[] = {
	{ 0, "success" },
	{ FZ_ERR_INVAL, "invalid argument" },
	{ FZ_ERR_NOMEM, "out of memory" },
	{ FZ_ERR_ABI, "option not known to this version of the library" },
	{ FZ_ERR_NOSPACE, "buffer too small" },
	{ FZ_ERR_NOT_MINE, "meant for someone else" },
	{ FZ_ERR_WIRE, "malformed input" },
	{ FZ_ERR_AUTH, "authentication failed" },
	{ FZ_ERR_FULL, "limit reached" },
	{ FZ_ERR_STATE, "not possible in this state" },
	{ FZ_ERR_AGAIN, "would block" },
	{ FZ_ERR_IO, "input/output error" },
	{ FZ_ERR_PERM, "permission denied" },
	{ FZ_ERR_UNSUPPORTED, "not supported here" },
	{ FZ_ERR_NOT_FOUND, "not found" },
	{ FZ_ERR_CRYPTO, "crypto library failed" },
	{ FZ_ERR_DEAD, "object is finished" },
	{ FZ_ERR_TOKEN, "authentication token invalid" },
	{ FZ_ERR_PORTAL, "portal refused the connection" },
	{ FZ_ERR_TIMEOUT, "timed out" },
};

const char *fz_strerror(int err)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].err == err)
			return texts[i].text;
	return "unknown error";
}

const char *fz_version(void)
{
	return FZCONN_VERSION;
}
