/* SPDX-License-Identifier: Apache-2.0 */
/** @file env.h
 *  What the library borrows from its host: memory, randomness and a place for log lines.
 *  These three are the only things that point outwards; everything else is fed in and polled out. */
#ifndef FZCONN_ENV_H
#define FZCONN_ENV_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Allocator. Same contracts as malloc, realloc and free of the C library. */
struct fz_mem {
	void *(*alloc)(void *ctx, size_t len); /**< as malloc() */
	void *(*realloc)(void *ctx, void *p, size_t len); /**< as realloc() */
	void (*free)(void *ctx, void *p); /**< as free() */
	void *ctx; /**< handed to the three functions */
};

/** Source of random bytes fit for keys. A test may give a seeded one: equal seeds give equal bytes. */
struct fz_rng {
	void (*fill)(void *ctx, void *buf, size_t len); /**< must not fail */
	void *ctx; /**< handed to fill */
};

/** How important a log line is. */
enum fz_log_level {
	FZ_LOG_ERROR = 0, /**< an object died */
	FZ_LOG_WARN = 1, /**< the other side misbehaves; rate-limited by the library */
	FZ_LOG_INFO = 2, /**< state changes */
	FZ_LOG_DEBUG = 3, /**< messages; the only level that shows addresses and names */
	FZ_LOG_TRACE = 4 /**< datagrams */
};

/** Receiver of log lines. Silent when write is NULL. */
struct fz_log {
	/** One line without line end; @p area is a short static word such as "ice" or "portal". */
	void (*write)(void *ctx, enum fz_log_level level, const char *area, const char *line);
	void *ctx; /**< handed to write */
	int max_level; /**< lines above this level are not even formatted (enum fz_log_level) */
};

/** Environment of an object. Borrowed until the object is freed; may be shared by many objects of one thread.
 */
struct fz_env {
	struct fz_mem mem; /**< where memory comes from */
	struct fz_rng rng; /**< where randomness comes from */
	struct fz_log log; /**< where log lines go */
};

/** Environment of the C library and OpenSSL's random generator, without log output.
 *  Copy it and change what you need. */
FZ_API const struct fz_env *fz_env_default(void);

#ifdef __cplusplus
}
#endif
#endif
