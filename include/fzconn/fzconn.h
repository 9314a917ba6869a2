/* SPDX-License-Identifier: Apache-2.0 */
/** @file fzconn.h
 *  Everything in one include. */
#ifndef FZCONN_FZCONN_H
#define FZCONN_FZCONN_H

#include "addr.h"
#include "ask.h"
#include "auth.h"
#include "client.h"
#include "diag.h"
#include "env.h"
#include "error.h"
#include "event.h"
#include "gateway.h"
#include "nat.h"
#include "packet.h"
#include "platform.h"
#include "portal.h"
#include "run.h"
#include "status.h"
#include "tunnel.h"
#include "types.h"
#include "version.h"

#endif
