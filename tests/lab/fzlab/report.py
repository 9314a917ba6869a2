# SPDX-License-Identifier: Apache-2.0
"""Verdicts: printed as they fall, and written to the file LAB_RESULTS for whoever counts them."""
import os
import sys


class Report:
    def __init__(self):
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.file = os.environ.get("LAB_RESULTS")

    def _say(self, verdict, name, words, seconds):
        self.counts[verdict] += 1
        lines = words.splitlines() or [""]
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        print(f"{verdict}  {name:14} {lines[0]}{took}", flush=True)
        for line in lines[1:]:
            print(f"      {line}")
        if self.file:
            with open(self.file, "a", encoding="utf-8") as file:
                file.write(f"{verdict} {name}\n")

    def ok(self, name, words="", seconds=None):
        self._say("PASS", name, words, seconds)

    def fail(self, name, words, seconds=None):
        self._say("FAIL", name, words, seconds)

    def skip(self, name, why):
        self._say("SKIP", name, why, None)

    def finish(self):
        """Prints the sum. Returns the exit code."""
        sys.stdout.flush()
        print(f"{self.counts['PASS']} passed, {self.counts['FAIL']} failed, {self.counts['SKIP']} skipped", flush=True)
        return 1 if self.counts["FAIL"] else 0
