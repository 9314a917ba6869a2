/* SPDX-License-Identifier: Apache-2.0 */
/** @file types.h
 *  Words that every other header uses: linkage, return value checks, time. */
#ifndef FZCONN_TYPES_H
#define FZCONN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
/** Marks a function or object as part of the exported ABI. */
#define FZ_API __attribute__((visibility("default")))
/** The result says whether the call worked: ignoring it is a bug. */
#define FZ_MUST_CHECK __attribute__((warn_unused_result))
/** printf-like argument check. */
#define FZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else /* other compilers have no such marks */
#define FZ_API
#define FZ_MUST_CHECK
#define FZ_PRINTF(fmt, args)
#endif

/** Deadline "never": what every next_timeout function returns when nothing is scheduled. */
#define FZ_NEVER_US UINT64_MAX

#endif
