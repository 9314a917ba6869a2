#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Names of the fuzz targets of this folder.
cd "$(dirname "$0")" || exit 1
for file in fuzz_*.c; do
	name=${file#fuzz_}
	echo "${name%.c}"
done
