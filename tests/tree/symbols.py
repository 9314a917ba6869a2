#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Exported symbols = lib/fzconn.map = functions that public headers declare. Arguments: top of the tree, library."""
import glob
import os
import re
import subprocess
import sys

root, library = sys.argv[1:3]

with open(os.path.join(root, "lib", "fzconn.map"), encoding="utf-8") as file:
    text = file.read()
mapped = re.findall(r"^\s*(fz_\w+);", text, re.M)

declared = set()
for path in glob.glob(os.path.join(root, "include", "fzconn", "*.h")):
    with open(path, encoding="utf-8") as file:
        source = re.sub(r"/\*.*?\*/|//[^\n]*", " ", file.read(), flags=re.S)
    for statement in re.findall(r"\bFZ_API\b([^;{]*)[;{]", source):
        name = re.search(r"\b(fz_\w+)\s*(?:\(|$|\[)", re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", statement).strip())
        if name:
            declared.add(name.group(1))

out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
exported = {line.split()[-1].partition("@")[0] for line in out.splitlines() if line.split()[-2] not in "A"}

complaints = [f"{each}: declared, not in the map" for each in sorted(declared - set(mapped))]
complaints += [f"{each}: in the map, not declared by a public header" for each in sorted(set(mapped) - declared)]
complaints += [f"{each}: in the map, not in the library" for each in sorted(set(mapped) - exported)]
complaints += [f"{each}: exported, not in the map" for each in sorted(exported - set(mapped))]
if mapped != sorted(mapped):
    complaints.append("lib/fzconn.map is not sorted")
print("\n".join(complaints) or f"{len(mapped)} symbols")
sys.exit(1 if complaints else 0)
