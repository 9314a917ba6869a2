/* SPDX-License-Identifier: Apache-2.0 */
/* What became of flows and their reports; counters only grow. Kept by the endpoint, so that it outlives a
 * tracker that is switched off. */
#ifndef FLOW_STATS_H
#define FLOW_STATS_H

#include <stdint.h>

struct flow_stats {
	uint64_t opened, closed;
	uint64_t untracked; /* not opened: table full, or no memory */
	uint64_t outers_lost; /* changes of path that are not in the record, for want of memory */
	uint64_t spooled; /* reports written */
	uint64_t lost; /* reports not written: no room, or the disk refuses */
	uint64_t corrupt; /* reports deleted because they cannot be read back */
	uint64_t uploaded; /* reports that the portal took */
	uint64_t upload_errors; /* answers other than success, and none at all */
};

#endif
