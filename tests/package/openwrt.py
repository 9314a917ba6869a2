#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The init scripts for OpenWrt under a small stand-in for its functions: what would be started, with what environment."""
import subprocess
import sys
import tempfile
import unittest

ROOT = sys.argv.pop(1)
FEED = f"{ROOT}/packaging/openwrt/fzconn/files"
# What /lib/functions.sh and /lib/functions/procd.sh give to an init script, of a configuration in variables cfg_OPTION.
STAND_IN = r"""
config_load() { echo "load $1"; }
config_foreach() { "$1" main; }
config_get() { eval "$1=\${cfg_$3:-}"; }
config_get_bool() { eval "$1=\${cfg_$3:-$4}"; }
procd_open_instance() { echo "open $1"; }
procd_set_param() { echo "set $*"; }
procd_append_param() { echo "append $*"; }
procd_close_instance() { echo close; }
logger() { echo "log $*"; }
. "$1"
start_service
"""


def start(program, **config):
    env = {"PATH": "/usr/bin:/bin", **{f"cfg_{key}": value for key, value in config.items()}}
    done = subprocess.run(["sh", "-c", STAND_IN, "sh", f"{FEED}/{program}.init"], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


class OpenWrt(unittest.TestCase):
    def test_off_by_default(self):
        for program in "fz-client", "fz-gateway":
            self.assertEqual(start(program), [f"load {program}"])

    def test_no_token(self):
        self.assertIn("no token", start("fz-client", enabled="1")[-1])

    def test_everything(self):
        out = start("fz-client", enabled="1", token="a b", api_url="wss://x", id="i", name="n", log="debug", dns_control="disabled")
        self.assertIn("open main", out)
        self.assertIn("set command /usr/bin/fz-client", out)
        self.assertIn("set env FIREZONE_TOKEN=a b", out)
        self.assertEqual([line for line in out if line.startswith("append")],
                         ["append env FIREZONE_API_URL=wss://x", "append env FIREZONE_ID=i", "append env FIREZONE_NAME=n",
                          "append env RUST_LOG=debug", "append env FIREZONE_DNS_CONTROL=disabled"])
        self.assertEqual(out[-1], "close")

    def test_token_in_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("secret\n")
            file.flush()
            out = start("fz-gateway", enabled="1", token_file=file.name)
        self.assertIn("set env FIREZONE_TOKEN=secret", out)
        self.assertEqual([line for line in out if line.startswith("append")], [])

    def test_options_are_declared(self):
        for program in "fz-client", "fz-gateway":
            with open(f"{FEED}/{program}.config", encoding="utf-8") as file:
                declared = {line.split()[1] for line in file.read().replace("#option", "option").splitlines() if "option " in line}
            with open(f"{FEED}/{program}.init", encoding="utf-8") as file:
                used = next(line for line in file if line.strip().startswith("local enabled")).split()[1:]
            self.assertEqual(declared, set(used), program)



if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
