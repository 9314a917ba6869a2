#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every public header compiles alone. Arguments: top of the tree, compiler and its options."""
import glob
import os
import subprocess
import sys

root, command = sys.argv[1], sys.argv[2:]
bad = 0
headers = sorted(glob.glob(os.path.join(root, "include", "**", "*.h"), recursive=True))
with open(os.path.join(root, "include", "meson.build"), encoding="utf-8") as file:
    listed = file.read()
for path in headers:
    name = os.path.relpath(path, os.path.join(root, "include"))
    # twice: the guard works, too
    text = f"#include <{name}>\n#include <{name}>\nint fz_alone(void);\nint fz_alone(void) {{ return 0; }}\n"
    done = subprocess.run([*command, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                           "-I" + os.path.join(root, "include"), "-"], input=text, text=True, capture_output=True,
                          check=False)
    if done.returncode:
        print(f"{name} does not compile alone:\n{done.stderr}")
        bad += 1
    if f"'{name}'" not in listed:
        print(f"{name} is not in include/meson.build, so it is not installed")
        bad += 1
print(f"{len(headers)} headers, {bad} complaints")
sys.exit(1 if bad or not headers else 0)
