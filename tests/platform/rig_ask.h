/* SPDX-License-Identifier: Apache-2.0 */
/* Those whom host a of the rig asks, and those who ask it. One implementation per platform. */
#ifndef RIG_ASK_H
#define RIG_ASK_H

#include "rig.h"

#define RIG_DNS RIG_SERVER ":5300" /* a name server, by UDP and TCP */
#define RIG_NO_DNS RIG_SERVER ":5301" /* a name server that is silent */
#define RIG_LISTEN_PORT 5353 /* where host a listens, at rig.a4 */
#define RIG_URL "http://" RIG_SERVER ":8080/" /* answers with what is sent, and Retry-After: 7 */

/* What the name server is asked, as it arrives; 0 = nothing now. */
size_t rig_query(uint8_t *buf, size_t cap);
/* It answers what it was asked last. */
void rig_answer(const uint8_t *m, size_t len);
/* Somebody sends a DNS message to host a; false = nobody listens. */
bool rig_request(bool tcp, const uint8_t *m, size_t len);
/* The answer that he gets; 0 = none now. */
size_t rig_reply(uint8_t *buf, size_t cap);
/* The resolver and the HTTP server have a moment. */
void rig_ask_step(void);
void rig_ask_close(void);

#endif
