#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every public declaration is documented: doxygen has nothing to say. Arguments: top of the tree, doxygen."""
import os
import subprocess
import sys
import tempfile

root, doxygen = sys.argv[1:3]
with open(os.path.join(root, "docs", "Doxyfile"), encoding="utf-8") as file:
    config = file.read()
with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run([doxygen, "-"], input=f"{config}\nOUTPUT_DIRECTORY = {folder}\n", text=True, cwd=root,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    pages = sum(name.endswith(".html") for _, _, names in os.walk(folder) for name in names)
print(done.stdout or f"{pages} pages without a complaint")
sys.exit(1 if done.returncode or done.stdout or not pages else 0)
