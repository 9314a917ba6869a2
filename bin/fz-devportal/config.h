/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: one JSON object (README.md) to rows of the model, and back for --state. */
#ifndef DEVPORTAL_CONFIG_H
#define DEVPORTAL_CONFIG_H

#include "model.h"

struct config {
	struct vec listen; /* texts, owned */
	char *socket_path, *state_path, *tls_cert, *tls_key;
};
void config_clear(struct config *c);

/* Read a file into both. False: *ret_fault says what is wrong and where (owned by the caller). */
bool config_load(struct config *c, struct model *m, const char *path, char **ret_fault);
/* Everything, in the form that config_load() reads. */
json_t *config_dump(const struct model *m);

/* One row each, as in the file; NULL and a reason (static text) when faulty. */
struct resource *resource_parse(const struct model *m, const json_t *spec, const char **ret_fault);
struct relay *relay_parse(const json_t *spec, const char **ret_fault);
struct device *device_parse(struct model *m, const json_t *spec, const char **ret_fault);
const char *token_parse(struct model *m, const json_t *spec);
const char *site_parse(struct model *m, const json_t *spec);

#endif
