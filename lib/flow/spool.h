/* SPDX-License-Identifier: Apache-2.0 */
/* Reports on disk until the portal has them, in the folders of Firezone's own programs:
 *
 *   ROOT/upload.json                    where to, as the portal said last
 *   ROOT/ROLE/AUTHORIZATION/token       what proves the right to report
 *   ROOT/ROLE/AUTHORIZATION/NAME       reports, report.h
 *
 * A report is whole or not there after a kill, and proves itself after a crash of the machine. Nothing is
 * forced to the disk, nothing is retried: what cannot be written is counted and gone. */
#ifndef FLOW_SPOOL_H
#define FLOW_SPOOL_H

#include "flow/report.h"
#include "flow/tracker.h"
#include "fzconn/platform.h"

/* Reports on disk; above that new ones are lost. With blocks of 4 KiB these are 256 MiB. */
#define FLOW_SPOOL_MAX 65536
/* Longest path of a file in it. */
#define FLOW_PATH_LEN 896
#define FLOW_ROOT_LEN 512
#define FLOW_URL_LEN 512
#define FLOW_TOKEN_LEN 8192

struct flow_spool {
	const struct fz_env *env;
	const struct fz_platform *platform;
	struct flow_stats *stats;
	char root[FLOW_ROOT_LEN];
	size_t reports; /* about so many are there: counted by each pass of the uploader */
};

/* FZ_ERR_INVAL: no absolute path, or too long. The platform is borrowed. */
int flow_spool_init(struct flow_spool *s, const struct fz_env *env, const struct fz_platform *platform,
		    const char *root, struct flow_stats *stats);
/* Write a report, and before the first of its kind the token. Failures are counted and logged, at times. */
void flow_spool_put(struct flow_spool *s, const struct flow_report *r);

/* What the portal said about uploads; survives a restart. */
struct flow_upload_config {
	char api_url[FLOW_URL_LEN];
	uint64_t interval_s; /* 0 = off */
	uint64_t batch; /* reports in a request, 1 to FLOW_BATCH_MAX */
};
#define FLOW_BATCH_DEFAULT 1000
#define FLOW_BATCH_MAX 10000
/* Write it, or with interval 0 remove it. */
void flow_spool_set_config(struct flow_spool *s, const struct flow_upload_config *c);
/* FZ_ERR_NOT_FOUND: uploads are off. FZ_ERR_WIRE: damaged. */
int flow_spool_config(struct flow_spool *s, struct flow_upload_config *ret);

/* Paths, NUL-terminated; id and name may be NULL: the folder. */
const char *flow_spool_path(const struct flow_spool *s, bool is_initiator, const char *id, const char *name,
			    char buf[FLOW_PATH_LEN]);

#endif
