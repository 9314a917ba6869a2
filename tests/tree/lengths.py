#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files stay readable: fails above 600 lines in include, lib and bin, and shows the longest. Argument: top of the tree."""
import os
import sys

MAX = 600
root = sys.argv[1]
lengths = []
for top in ("include", "lib", "bin"):
    for folder, _, names in os.walk(os.path.join(root, top)):
        for name in names:
            if name.endswith((".c", ".h")):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    lengths.append((sum(1 for _ in file), os.path.relpath(path, root)))
lengths.sort(reverse=True)
for count, path in lengths[:10]:
    print(f"{count:6} {path}{'  TOO LONG: look for the seam' if count > MAX else ''}")
print(f"{sum(each[0] for each in lengths)} lines in {len(lengths)} files")
sys.exit(1 if not lengths or lengths[0][0] > MAX else 0)
