/* SPDX-License-Identifier: Apache-2.0 */
/** @file version.h
 *  Version of the library: at compile time by macro, at run time by function. */
#ifndef FZCONN_VERSION_H
#define FZCONN_VERSION_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the headers, "major.minor.patch". */
#define FZCONN_VERSION "0.1.0"
/** The same as a number: major * 10000 + minor * 100 + patch. */
#define FZCONN_VERSION_NUM 100

/** Version of the library in use, as ::FZCONN_VERSION; static storage. */
FZ_API const char *fz_version(void);

#ifdef __cplusplus
}
#endif
#endif
