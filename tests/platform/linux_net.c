/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "netns.h"

Suite *unit_suite(void)
{
	netns_probe();
	return suite_create("linux net");
}
