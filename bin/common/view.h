/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot as tables for people. */
#ifndef BIN_VIEW_H
#define BIN_VIEW_H

#include <stdio.h>

#include <jansson.h>

void view_status(json_t *root, FILE *out);

#endif
