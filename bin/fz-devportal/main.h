/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVPORTAL_MAIN_H
#define DEVPORTAL_MAIN_H

/* $FZ_DEVPORTAL_SOCKET or the built-in path. */
const char *default_socket(void);

#endif
