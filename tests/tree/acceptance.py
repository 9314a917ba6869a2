#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each row of docs/ACCEPTANCE.md has a test named after its id, or says why it has none; and no test names an id that is no row.
With --list: the rows and their tests."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROW = re.compile(r"^\| (\d+\.\d+) \| (.*?) \| (.*?) ?\|$")
NAMED = re.compile(r"(?:START_TEST\(|def test_|^check |^static (?:void|bool) (?=a\d+_\d+_))a(\d+)[_.](\d+)((?:[_-]\w[\w-]*)?)", re.M)


def rows():
    with open(f"{ROOT}/docs/ACCEPTANCE.md", encoding="utf-8") as file:
        found = [ROW.match(line) for line in file]
    return {row[1]: (row[2], row[3]) for row in found if row}


def scenarios():
    shown = subprocess.run([sys.executable, f"{ROOT}/tests/lab/lab", "list"], check=True, capture_output=True, text=True).stdout
    for name in re.findall(r"^(\d+\.\d+\S*)", shown, re.M):
        yield re.match(r"\d+\.\d+", name)[0], f"lab {name}"


def named():
    for folder, folders, files in os.walk(f"{ROOT}/tests"):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not name.endswith((".c", ".py", ".sh")) and name != "package":
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                for found in NAMED.finditer(file.read()):
                    yield f"{found[1]}.{found[2]}", f"{os.path.relpath(path, ROOT)} a{found[1]}_{found[2]}{found[3]}"


def main():
    known, tests = rows(), {}
    for number, name in [*scenarios(), *named()]:
        tests.setdefault(number, []).append(name)
    missing = [number for number, (_, why) in known.items() if number not in tests and not why]
    strange = sorted(set(tests) - set(known))
    if sys.argv[1:] == ["--list"]:
        for number, (what, why) in known.items():
            print(f"{number:6} {what}")
            for name in tests.get(number, []):
                print(f"         {name}")
            if number not in tests:
                print(f"         missing: {why or 'no test, and no reason'}")
        print(f"{len(known)} rows, {sum(number in tests for number in known)} with tests")
        return 0
    for number in missing:
        print(f"{number} ({known[number][0]}) has no test and no reason")
    for number in strange:
        print(f"{number} is no row of docs/ACCEPTANCE.md: {', '.join(tests[number])}")
    return 1 if missing or strange else 0


if __name__ == "__main__":
    sys.exit(main())
