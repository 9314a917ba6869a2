#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Command lines and variables of both programs, row by row. Needs no privilege and no network.
Usage: options.py FZ-CLIENT FZ-GATEWAY [TEST...]"""
import re
import sys
import unittest

import box

CLIENT, GATEWAY = None, None
USAGE, TOKEN, FAILED = 2, 3, 1

# option, letter, variable, a value that is taken, values that are refused, "no effect yet"
TEXT, FLAG = "text", "flag"
DURATIONS = (["5m", "5 m", "1h30m", "1h 30m", "90sec", "2days", "100ms", "1.5h", "0", "3M", "1y", "2w", "7us", "9ns", "1min"],
             ["3600", "", "5 x", "1h,30m", "+5m", "-5m", "m", "1e5s", "0x10s", "1.h", "5m3", "99999999999999y"])
URLS = (["ws://h", "wss://h/", "http://h:1/", "https://[::1]:2/x"], ["nonsense", "", "ftp://x/", "wss://", "http:///x", "ws://:1"])
ADDRESSES = (["0.0.0.0:8080", "[::]:8080"], ["localhost:8080", "8080", "", ":8080", "::8080", "1.2.3.4"])
METRICS = (["stdout", "otel-collector", "sentry"], ["x", "Stdout", ""])
FORMATS = (["human", "json"], ["JSON", "x", ""])
ANY = (["x y", "ü"], [])
PATHS = (["/x"], [""])
BOTH = [
    ("api-url", "u", "FIREZONE_API_URL", URLS, False),
    ("firezone-id", "i", "FIREZONE_ID", ANY, False),
    ("no-telemetry", None, "FIREZONE_NO_TELEMETRY", FLAG, False),
    ("metrics", None, "FIREZONE_METRICS", METRICS, True),
    ("otlp-grpc-endpoint", None, "OTLP_GRPC_ENDPOINT", ANY, True),
    ("flow-logs", None, "FIREZONE_FLOW_LOGS", FLAG, False),
    ("log-format", None, "FIREZONE_LOG_FORMAT", FORMATS, False),
    ("no-check", None, None, FLAG, False),
    ("no-watch", None, None, FLAG, False),
    ("metrics-addr", None, "FIREZONE_METRICS_ADDR", ADDRESSES, False),
    ("status-socket", None, "FIREZONE_STATUS_SOCKET", PATHS, False),
]
ROWS = {
    "client": BOTH + [
        ("dns-control", None, "FIREZONE_DNS_CONTROL",
         (["disabled", "etc-resolv-conf", "systemd-resolved"], ["network-manager", "none", ""]), False),
        ("log-dir", "l", "LOG_DIR", PATHS, True),
        ("max-partition-time", "m", "MAX_PARTITION_TIME", DURATIONS, False),
        ("check", None, None, FLAG, False),
        ("exit", None, None, FLAG, False),
        ("firezone-name", None, "FIREZONE_NAME", ANY, False),
        ("activate-internet-resource", None, "FIREZONE_ACTIVATE_INTERNET_RESOURCE", FLAG, False),
        ("token-path", None, "FIREZONE_TOKEN_PATH", PATHS, False),
        ("inc-buf", None, "FIREZONE_INC_BUF", FLAG, False),
    ],
    "gateway": BOTH + [
        ("firezone-name", "n", "FIREZONE_NAME", ANY, False),
        ("health-check-addr", None, "HEALTH_CHECK_ADDR", ADDRESSES, False),
        ("validate-checksums", None, "FIREZONE_VALIDATE_CHECKSUMS", FLAG, True),
        ("no-forwarding", None, "FIREZONE_NO_FORWARDING", FLAG, False),
        ("no-inc-buf", None, "FIREZONE_NO_INC_BUF", FLAG, False),
        ("max-partition-time", "m", "FIREZONE_MAX_PARTITION_TIME", DURATIONS, False),
    ],
}


class Options(unittest.TestCase):
    """Without a token both programs end with status 3 as soon as their options are found good."""

    def program(self, which):
        return CLIENT if which == "client" else GATEWAY

    def start(self, which, *words, **env):
        before = ["--token-path", "/nonexistent"] if which == "client" and "FIREZONE_TOKEN_PATH" not in env and \
            not any(w.startswith("--token-path") for w in words) else []
        return box.run([self.program(which), *before, *words], env)

    def good(self, which, *words, **env):
        code, out, err = self.start(which, *words, **env)
        self.assertEqual(code, TOKEN, (which, words, env, out, err))
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn("FIREZONE_TOKEN", err)
        return out

    def bad(self, which, *words, **env):
        code, out, err = self.start(which, *words, **env)
        self.assertEqual(code, USAGE, (which, words, env, out, err))
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Afz-(client|gateway)( sign-(in|out))?: .*; see fz-(client|gateway)( sign-(in|out))? --help\n\Z")
        return err

    def test_every_option_and_variable(self):
        for which, rows in ROWS.items():
            for name, letter, env, kind, idle in rows:
                with self.subTest(program=which, option=name):
                    outs = self.flag(which, name, env) if kind == FLAG else self.option(which, name, letter, env, *kind)
                    for out in outs:
                        self.assertEqual(f"--{name} has no effect yet" in out, idle, out)
                        self.assertEqual("WARN" in out, idle, out)

    def flag(self, which, name, env):
        outs = [self.good(which, f"--{name}")]
        self.assertIn("takes no value", self.bad(which, f"--{name}=true"))
        self.assertIn("twice", self.bad(which, f"--{name}", f"--{name}"))
        if env:
            outs.append(self.good(which, **{env: "true"}))
            self.assertNotIn("no effect", self.good(which, **{env: "false"}))
            for word in ("1", "0", "yes", "TRUE", ""):
                self.assertIn(env, self.bad(which, **{env: word}))
        return outs

    def option(self, which, name, letter, env, good, refused):
        outs = [self.good(which, f"--{name}", value) for value in good]
        outs += [self.good(which, f"--{name}={good[0]}")]
        if letter:
            outs += [self.good(which, *words) for words in
                     ([f"-{letter}", good[0]], [f"-{letter}{good[0]}"], [f"-{letter}={good[0]}"])]
        outs += [self.good(which, **{env: value}) for value in good]
        for value in refused:
            self.assertIn(f"--{name}", self.bad(which, f"--{name}={value}"))
            self.assertIn(env, self.bad(which, **{env: value}))
        self.assertIn("twice", self.bad(which, f"--{name}", good[0], f"--{name}={good[0]}"))
        self.assertIn("needs a value", self.bad(which, f"--{name}"))
        self.assertIn("needs a value", self.bad(which, f"--{name}", "--no-check"))
        return outs

    def test_dns_control(self):
        self.assertNotIn("WARN", self.good("client"))
        for method in "disabled", "etc-resolv-conf", "systemd-resolved":
            self.assertNotIn("WARN", self.good("client", "--dns-control", method))

    def test_empty_texts_count_as_not_given(self):
        for which in ROWS:
            for variable in "FIREZONE_NAME", "FIREZONE_ID", "RUST_LOG", "FIREZONE_TOKEN":
                self.good(which, **{variable: ""})

    def test_command_line_wins(self):
        self.good("gateway", "--log-format", "human", FIREZONE_LOG_FORMAT="bogus")
        self.assertTrue(self.good("gateway", "--log-format=json", FIREZONE_LOG_FORMAT="human").startswith('{"timestamp"'))
        self.assertTrue(self.good("gateway", FIREZONE_LOG_FORMAT="json").startswith('{"timestamp"'))

    def test_not_utf8(self):
        code, _, err = box.run([GATEWAY], {"FIREZONE_NAME": b"\xff\xfe"})
        self.assertEqual((code, "not UTF-8" in err), (USAGE, True))

    def test_words(self):
        self.assertIn("no option --bogus", self.bad("gateway", "--bogus"))
        self.assertNotIn("secret", self.bad("client", "--token=secret"))
        self.assertIn("--token", self.bad("client", "--token", "x"))
        self.assertIn("unexpected argument", self.bad("gateway", "first-secret", "second-secret"))
        self.assertNotIn("secret", self.bad("gateway", "first-secret", "second-secret"))
        self.assertIn('no command "bogus"', self.bad("client", "bogus"))
        self.assertIn("options come first", self.bad("client", "standalone", "--check"))
        self.good("client", "standalone")
        for words in (["sign-out", "--token-path", "/x"], ["sign-out", "-V"], ["sign-in", "-f"], ["sign-in", "word"],
                      ["sign-in", "--auth-base-url", "x"], ["help", "bogus"]):
            self.bad("client", *words)
        for which in ROWS:  # without a running program
            for words in (["status"], ["status", "--json"], ["log", "info"], ["reload"]):
                code, out, err = self.start(which, "--status-socket", "/nonexistent/socket", *words)
                self.assertEqual((code, out), (FAILED, ""))
                self.assertIn("it does not run, or has another status socket than /nonexistent/socket", err)
            for words in (["status", "word"], ["doctor", "word"], ["doctor", "--json=x"], ["status", "--watch=2"], ["log"], ["log", "a", "b"], ["reload", "now"]):
                code, _, err = self.start(which, *words)
                self.assertEqual((code, err.count("\n")), (USAGE, 1), words)
            code, _, err = self.start(which, "--status-socket", "/" + "x" * 108, "status")
            self.assertEqual((code, "too long" in err), (FAILED, True), err)
        self.bad("gateway", "--no", "--no-inc")  # no abbreviations

    def test_log_filter(self):
        for good in ("info", "WARN", "off", "info,hyper=warn", "portal=debug,node=trace", "a[b{c=d,e=f}]=trace,info", "phx"):
            self.good("gateway", RUST_LOG=good)
        self.assertIn("fz-gateway", self.good("gateway", RUST_LOG="main=info"))
        self.assertEqual("", self.good("gateway", RUST_LOG="portal=debug"))  # others: errors only
        self.assertEqual("", self.good("gateway", RUST_LOG="debug,main=error"))
        for bad in "a=b=c", "portal=loud", "[x":
            code, out, err = self.start("gateway", RUST_LOG=bad)
            self.assertEqual((code, out), (USAGE, ""))
            self.assertIn("RUST_LOG", err)

    def test_log_formats(self):
        stamp = r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
        self.assertRegex(self.good("gateway"), stamp + r" INFO main: fz-gateway \d+\.\d+\.\d+, ")
        self.assertNotIn("\033", self.good("gateway", TERM="xterm"))
        self.assertIn("\033[32m INFO\033[0m", self.good("gateway", FORCE_COLOR="1"))
        json = self.good("gateway", "--log-format", "json").splitlines()
        self.assertRegex(json[0], r'\A{"timestamp":"[-T:.0-9]{26}Z","level":"INFO","message":"fz-gateway .*","target":"main"}\Z')
        self.assertIn('"level":"ERROR","message":"there is no token', json[1])

    def test_help(self):
        for which, rows in ROWS.items():
            code, out, err = self.start(which, "--help", FIREZONE_TOKEN="s3cr3t", FIREZONE_NAME="s3cr3t", FIREZONE_NO_CHECK="x")
            self.assertEqual((code, err), (0, ""))
            self.assertNotIn("s3cr3t", out)
            for name, letter, env, kind, idle in rows:
                shown = re.search(rf"^  (?:-(\w),|   ) --{name}( <.+>)?\n +(.*)$", out, re.M)
                self.assertIsNotNone(shown, name)
                self.assertEqual(shown[1], letter)
                self.assertEqual(shown[2] is None, kind == FLAG)
                self.assertEqual("(no effect yet)" in shown[3], idle)
                self.assertEqual(re.search(r"\[env: (\w+)\]", shown[3]), None) if env is None else \
                    self.assertIn(f"[env: {env}]", shown[3])
            named = re.findall(r"--([a-z-]+)", out.partition("\nVariables")[0].partition("\nCommands")[0])
            self.assertEqual(set(named), {row[0] for row in rows} | {"help", "version"})
            listed = [row for row in named if row not in ("help", "version")]
            self.assertEqual(listed, sorted(listed))
            for code in range(9):
                self.assertRegex(out, rf"(?m)^  {code}  \w")
            for words in (["-h"], ["--help", "--bogus"], ["--no-check", "-h"]):
                self.assertEqual(self.start(which, *words, FIREZONE_NO_TELEMETRY="1")[0:2], (0, out))
        for which in ROWS:
            self.assertEqual(self.start(which, "help")[0:2], self.start(which, "--help")[0:2])
            for word in "doctor", "status", "log", "reload":
                code, out, _ = self.start(which, word, "-h")
                self.assertEqual((code, f"Usage: fz-{which} {word}" in out), (0, True))
                self.assertEqual(self.start(which, "help", word)[0:2], (0, out))
        for word, option in ("sign-in", "--account-slug"), ("sign-out", "--force"):
            code, out, _ = self.start("client", word, "-h")
            self.assertEqual((code, option in out, "--token-path" in out), (0, True, False))
            self.assertEqual(self.start("client", "help", word)[0:2], (0, out))

    def test_version(self):
        for which in ROWS:
            code, out, _ = self.start(which, "-V", "--bogus")
            self.assertEqual(code, 0)
            self.assertRegex(out, rf"\Afz-{which} \d+\.\d+\.\d+\n\Z")
            self.assertEqual(self.start(which, "--version")[0:2], (0, out))
            self.assertEqual(self.start(which, "--bogus", "-V")[0], USAGE)


if __name__ == "__main__":
    CLIENT, GATEWAY = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
