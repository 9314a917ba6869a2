/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot in the text format of Prometheus. */
#ifndef BIN_METRICS_H
#define BIN_METRICS_H

/* Allocated; NULL without memory, or when this is no snapshot. */
char *metrics_text(const char *snapshot);

#endif
