/* SPDX-License-Identifier: Apache-2.0 */
/* May routes be set? Found out by setting one where nobody looks. */
#ifndef BIN_ROUTE_PROBE_H
#define BIN_ROUTE_PROBE_H

/* 0, or a negative errno: -EPERM = netlink works, but routes may not be set here. */
int route_probe(void);

#endif
