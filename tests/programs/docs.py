#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Man pages and completions know the options of the programs, all of them and no others.
Usage: docs.py SOURCE FZ-CLIENT FZ-GATEWAY"""
import os
import re
import subprocess
import sys
import unittest

import box

SOURCE, PROGRAMS = None, None


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def options(text):
    """Of --help: name -> (letter, value, variable)."""
    found = {}
    for letter, name, value, more in re.findall(r"^  (?:-(\w),|   ) --([a-z-]+)(?: <(.+)>)?\n +(.*)$", text, re.M):
        found[name] = (letter, value, (re.findall(r"\[env: (\w+)\]", more) or [""])[0])
    for letter, name in re.findall(r"^  -(\w), --([a-z]+)$", text, re.M):
        found[name] = (letter, "", "")
    return found


class Docs(unittest.TestCase):
    def each(self):
        for name, path in PROGRAMS.items():
            text = box.run([path, "--help"])[1]
            yield name, text, options(text)

    def test_man(self):
        for name, text, want in self.each():
            page = read("docs", "man", f"{name}.8.scd").replace("\\", "")
            section = page.partition("# OPTIONS")[2].partition("\n# ")[0]
            have = {}
            for letter, option, value, body in re.findall(r"^(?:\*-(\w)\*, )?\*--([a-z-]+)\*(?: (.+))?\n((?:\t.*\n)+)", section, re.M):
                variable = re.findall(r"Variable: \*(\w+)\*", body)
                have[option] = (letter, value.replace("*", "").strip("_"), variable[0] if variable else "")
            self.assertEqual(have, want, name)
            self.assertEqual(list(have), [*sorted(set(have) - {"help", "version"}), "help", "version"])
            for code, line in re.findall(r"^  (\d)  (.*)$", text, re.M):
                self.assertIn(f"*{code}*\n\t{line[0].upper()}{line[1:]}.\n", page)
            for variable in re.findall(r"^  ([A-Z_]+)$", text, re.M):
                self.assertIn(f"*{variable}*", page)
            commands = re.findall(r"^  ([a-z-]+)$", text.partition("Commands:\n")[2].partition("\n\n")[0], re.M)
            self.assertEqual(len(commands), 8 if name == "fz-client" else 5)
            for command in commands:
                self.assertRegex(page, rf"(?m)^\*{command}\*( \[?[_*].*)?$")
                for shell in f"{name}.bash", f"_{name}", f"{name}.fish":
                    self.assertIn(command, read("bin", "completion", shell))

    def test_bash(self):
        for name, _, want in self.each():
            path = os.path.join(SOURCE, "bin", "completion", f"{name}.bash")

            def complete(*words, path=path, name=name):
                script = (f'. {path}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _{name.replace("-", "_")}; '
                          'printf "%s\\n" "${COMPREPLY[@]}"')
                return subprocess.run(["bash", "-c", script, "bash", name, *words], capture_output=True, text=True,
                                      check=True).stdout.split()

            self.assertEqual(set(complete("-")), {f"--{n}" for n in want} | {f"-{row[0]}" for row in want.values() if row[0]})
            for option, (letter, value, _) in want.items():
                self.assertIn(f"--{option}", complete(f"--{option[:3]}"))
                if "|" in value:
                    self.assertEqual(complete(f"--{option}", ""), value.split("|"))
                    self.assertEqual(complete(f"--{option}", "=", ""), value.split("|"))
                elif value and option not in ("token-path", "log-dir", "status-socket"):
                    self.assertEqual(complete(f"--{option}", ""), [])

    def test_zsh(self):
        for name, _, want in self.each():
            have = {}
            for letter, both, alone, takes, rest in re.findall(
                    r"\t'(?:\(.*\)'\{-(\w)\+?,--([a-z-]+)=?\}'|--([a-z-]+))(=?)\[(.*)$", read("bin", "completion", f"_{name}"), re.M):
                choices = re.search(r":\((.*)\)'", rest)
                have[both or alone] = (letter, choices[1].replace(" ", "|") if choices else "", "+" in takes or ":" in rest)
            self.assertEqual(set(have), set(want))
            for option, (letter, value, _) in want.items():
                self.assertEqual(have[option][0], letter)
                self.assertEqual(have[option][1], value if "|" in value else "")
                self.assertEqual(have[option][2], bool(value), option)

    def test_fish(self):
        for name, _, want in self.each():
            have = {}
            for letter, option, takes, rest in re.findall(rf"^complete -c {name}(?: -s (\w))? -l ([a-z-]+)( -r)?(.*)$",
                                                          read("bin", "completion", f"{name}.fish"), re.M):
                choices = re.search(r" -a '([a-z -]+)'", rest)
                have[option] = (letter, choices[1].replace(" ", "|") if choices else "", bool(takes))
            self.assertEqual({o: (r[0], r[1] if "|" in r[1] else "", bool(r[1])) for o, r in want.items()}, have)


if __name__ == "__main__":
    SOURCE = sys.argv[1]
    PROGRAMS = {os.path.basename(path): path for path in sys.argv[2:4]}
    unittest.main(argv=sys.argv[:1])
