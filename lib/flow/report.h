/* SPDX-License-Identifier: Apache-2.0 */
/* A report in the spool: its file's name, which sorts by age and is the same for beginning and end of a flow,
 * and its content, which proves that it is whole. Both are those of Firezone's own programs. */
#ifndef FLOW_REPORT_H
#define FLOW_REPORT_H

#include "flow/record.h"
#include "fzconn/env.h"

/* "1700000000-0123456789abcdef.start.json" with its NUL; longer in some thousand years. */
#define FLOW_REPORT_NAME_LEN 64
/* Longest file that is read. */
#define FLOW_REPORT_MAX 16384

struct flow_report_name {
	uint64_t start_s; /* unix */
	uint64_t stem; /* hash of what identifies the flow */
	bool is_end;
};

void flow_report_name_of(const struct flow_record *r, struct flow_report_name *ret);
const char *flow_report_name_format(const struct flow_report_name *n, char buf[FLOW_REPORT_NAME_LEN]);
/* False: no name of a report. */
bool flow_report_name_parse(const char *text, struct flow_report_name *ret);
/* For sorting: oldest first, the beginning of a flow right in front of its end. */
int flow_report_name_compare(const struct flow_report_name *a, const struct flow_report_name *b);

/* The file's content; free with fz_free(). NULL without memory. */
char *flow_report_encode(const struct fz_env *env, const struct jv *record, size_t *ret_len);
/* The record's text out of a file; free with fz_free(). FZ_ERR_WIRE: cut, changed, or something else;
 * FZ_ERR_NOMEM. */
int flow_report_decode(const struct fz_env *env, const char *text, size_t len, char **ret_record,
		       size_t *ret_len);

#endif
