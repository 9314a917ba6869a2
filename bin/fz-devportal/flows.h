/* SPDX-License-Identifier: Apache-2.0 */
/* Flow-log records as they are stored: checked field by field, one for each flow and side, closed once. */
#ifndef DEVPORTAL_FLOWS_H
#define DEVPORTAL_FLOWS_H

#include "portal.h"

/* What is wrong with a record, {"field": ["text"]}, owned by the caller; NULL = nothing. */
json_t *flow_faults(const json_t *record);
/* Store a good record: a new flow, or the end of an open one. Everything else that names a known flow changes
 * nothing, so that devices may repeat themselves. */
void flow_store(struct portal *p, const json_t *claims, const json_t *record);

#endif
