#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stripped programs with the library inside stay small. Usage: sizes.py LIMIT-IN-KB PROGRAM..."""
import os
import subprocess
import sys
import tempfile

limit = int(sys.argv[1]) * 1000
worst = 0
with tempfile.TemporaryDirectory() as folder:
    for path in sys.argv[2:]:
        copy = os.path.join(folder, "stripped")
        subprocess.run(["strip", "-o", copy, path], check=True)
        size = os.path.getsize(copy)
        worst = max(worst, size)
        print(f"{os.path.basename(path):20} {size / 1000:6.0f} KB of {limit / 1000:.0f}")
sys.exit(1 if worst > limit else 0)
