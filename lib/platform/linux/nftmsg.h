/* SPDX-License-Identifier: Apache-2.0 */
/* The few requests to nf_tables that a gateway needs, in one transaction: all of it is applied, or nothing.
 */
#ifndef PLATFORM_LINUX_NFTMSG_H
#define PLATFORM_LINUX_NFTMSG_H

#include "fzconn/addr.h"
#include "fzconn/env.h"

struct nft; /* a connection to nf_tables */

/* enum fz_err: FZ_ERR_UNSUPPORTED = this kernel has no nf_tables. */
int nft_open(const struct fz_env *env, struct nft **ret);
/* Tables that it owns vanish. */
void nft_close(struct nft *n);

/* Begin a transaction; what is added after a failure is ignored, nft_commit() tells. */
void nft_begin(struct nft *n);
/* `owned`: the table lasts as long as the connection, however the program ends. Kernels before 5.12 refuse.
 */
void nft_add_table(struct nft *n, const char *table, bool owned);
/* Without a complaint when there is none. */
void nft_remove_table(struct nft *n, const char *table);
/* A chain of source translation, called "postrouting". */
void nft_add_nat_chain(struct nft *n, const char *table);
/* What comes from @source and leaves by another interface than this gets the address of that one. */
void nft_add_masquerade(struct nft *n, const char *table, const struct fz_prefix *source,
			const char *not_interface);
int nft_commit(struct nft *n);

/* A base chain of the forward hook that drops what no rule accepts. */
struct nft_chain {
	const char *family, *table, *name; /* valid during the call */
};
typedef void (*nft_each)(void *ctx, const struct nft_chain *chain);
void nft_each_dropping_forward(struct nft *n, nft_each each, void *ctx);

#endif
