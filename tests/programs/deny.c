/* SPDX-License-Identifier: Apache-2.0 */
/* deny FAMILIES COMMAND...: run it where socket() knows none of these address families ("2,10"), as in a unit
 * with RestrictAddressFamilies= or a container with a strict profile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <seccomp.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 3 || filter == NULL)
		return 125;
	for (char *at = argv[1]; *at; at += *at == ',')
		if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, strtoul(at, &at, 10))) != 0)
			return 125;
	if (seccomp_load(filter) != 0) {
		perror("deny");
		return 125;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 126;
}
