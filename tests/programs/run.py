#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Both programs at a portal: readiness, signals, what they leave behind, what ends them.
Usage: run.py FZ-CLIENT FZ-GATEWAY FZ-DEVPORTAL [TEST...]"""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

import box
from wsclient import Portal

CLIENT, GATEWAY, PORTAL = None, None, None
OK, FAILED, USAGE, TOKEN, PRIVILEGE, NO_TUN, RUNNING, REFUSED = range(8)
READY = "the tunnel interface is ready"
CONFIG = {
    "sites": ["HQ"],
    "devices": [
        {"role": "gateway", "name": "gw", "site": "HQ", "external_id": "gw-1", "token": "gt", "ipv4": "100.64.0.1",
         "ipv6": "fd00:2021:1111::1"},
        {"role": "client", "name": "cl", "external_id": "cl-1", "token": "ct", "ipv4": "100.64.0.2", "ipv6": "fd00:2021:1111::2"},
    ],
    "resources": [{"type": "cidr", "name": "Lab", "address": "10.20.0.0/16", "site": "HQ"},
                  {"type": "cidr", "name": "Lab6", "address": "fd20::/64", "site": "HQ"}],
}


def network():
    """All that the programs could leave behind."""
    shown = [subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout for words in
             (["-br", "link"], ["rule"], ["-6", "rule"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"])]
    return [sorted(text.splitlines()) for text in shown]


class Run(unittest.TestCase):
    def setUp(self):
        self.before = network()
        self.portal = Portal(PORTAL, CONFIG)
        self.open = []

    def tearDown(self):
        for program in self.open:
            program.close()
        self.portal.stop()

    def start(self, which, *words, env=None, before=()):
        role = "client" if which == CLIENT else "gateway"
        words = [*before, which, "-u", f"ws://127.0.0.1:{self.portal.port}", *words]
        program = box.Program(words, {"FIREZONE_TOKEN": role[0] + "t", "FIREZONE_ID": role[0:1] + ("l-1" if role == "client" else "w-1"),
                                      **(env or {})})
        self.open.append(program)
        return program

    def session(self, role="client"):
        found = [s for s in self.portal.ctl("state")["sessions"] if s["role"] == role and s["joined"]]
        return found[0] if found else None

    def other_key(self, key):
        """Between two sessions there is none: look once."""
        now = self.session()
        return now["public_key"] if now and now["public_key"] != key else None

    def left_behind(self):
        now = network()
        self.assertEqual([now[0], now[1], now[2]], [self.before[0], self.before[1], self.before[2]])
        for table in 3, 4:  # copies of connected networks are made for others, too: only ours must be gone
            self.assertFalse([line for line in now[table] if box.TUNNEL in line or "10.20." in line or "fd20:" in line])

    # --- life ---

    def test_life(self):
        for which in CLIENT, GATEWAY:
            for number in signal.SIGTERM, signal.SIGINT:
                with self.subTest(program=which, signal=number):
                    program = self.start(which)
                    program.wait_for(READY)
                    during = network()
                    self.assertTrue([line for line in during[0] if line.startswith(box.TUNNEL)])
                    self.assertTrue([line for line in during[1] if "0xfd002021" in line])
                    self.assertEqual(program.end(number), OK, program.out + program.err)
                    self.assertEqual(program.err, "")
                    self.assertIn("goodbye", program.out)
                    self.left_behind()
                    box.until(lambda: self.session("client" if which == CLIENT else "gateway") is None, "the portal knows")

    def test_logs(self):
        program = self.start(CLIENT, "--log-format", "json", env={"RUST_LOG": "trace"})
        program.wait_for(READY)
        self.assertEqual(program.end(), OK)
        for line in program.out.splitlines():
            self.assertEqual(list(json.loads(line)), ["timestamp", "level", "message", "target"])
        self.assertNotIn("Bearer", program.out)

    def test_privileges_are_given_up(self):
        for which in CLIENT, GATEWAY:
            program = self.start(which)
            program.wait_for(READY)
            for name, want in ("CapEff", 1 << 12), ("CapPrm", 1 << 12), ("CapBnd", 0), ("CapAmb", 0):
                self.assertEqual(int(program.status(name), 16), want, name)
            self.assertEqual(program.status("NoNewPrivs"), "1")
            self.assertEqual(program.status("Seccomp"), "2" if os.environ.get("SECCOMP") else "0")
            self.assertEqual(int(program.status("Threads")), 1)
            self.assertEqual(program.end(), OK)
            self.left_behind()

    def test_only_net_admin(self):
        user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
        program = self.start(GATEWAY, before=user)
        program.wait_for(READY)
        self.assertEqual(int(program.status("CapPrm"), 16), 1 << 12)
        self.assertEqual(program.end(), OK, program.err)
        self.left_behind()

    def test_missing_node_is_made(self):
        program = self.start(CLIENT, "--exit", before=["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"])
        self.assertEqual(program.end(None), OK, program.err)

    def test_exit_when_up(self):
        program = self.start(CLIENT, "--exit")
        self.assertEqual(program.end(None), OK)
        self.assertIn(READY, program.out)
        self.left_behind()

    def test_service_manager(self):
        path = f"{self.portal.dir}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(30)
            for which in CLIENT, GATEWAY:
                program = self.start(which, env={"NOTIFY_SOCKET": path})
                self.assertEqual(listener.recv(100).strip(), b"READY=1")
                self.assertIn(READY, program.out)
                self.assertEqual(program.end(), OK)
                self.assertEqual(listener.recv(100).strip(), b"STOPPING=1")
        program = self.start(CLIENT, "--exit", env={"NOTIFY_SOCKET": path})  # nobody listens: no reason to fail
        self.assertEqual(program.end(None), OK)
        os.unlink(path)

    def test_buffers(self):
        def limits():
            values = []
            for name in "rmem_max", "wmem_max":
                with open(f"/proc/sys/net/core/{name}", encoding="ascii") as file:
                    values.append(int(file.read()))
            return values

        for which, words, want in ((CLIENT, [], [212992, 4194304]), (GATEWAY, ["--no-inc-buf"], [212992, 4194304]),
                                   (GATEWAY, [], [16777216, 4194304]), (CLIENT, ["--inc-buf"], [16777216, 4194304])):
            with open("/proc/sys/net/core/rmem_max", "w", encoding="ascii") as file:
                file.write("212992\n")
            program = self.start(which, *words)
            program.wait_for(READY)
            self.assertEqual(program.end(), OK)
            self.assertEqual(limits(), want)

    # --- signals ---

    def test_hangup_client(self):
        program = self.start(CLIENT)
        program.wait_for(READY)
        key = self.session()["public_key"]
        for _ in range(3):
            program.kill(signal.SIGHUP)
            key = box.until(lambda: self.other_key(key), "a session with another key")
        self.assertEqual(program.out.count("SIGHUP: starting over"), 3)
        self.assertEqual(program.end(), OK)
        self.left_behind()

    def test_hangup_gateway(self):
        program = self.start(GATEWAY)
        program.wait_for(READY)
        before = self.session("gateway")
        program.kill(signal.SIGHUP)
        program.wait_for("signed in at the portal", times=2)
        box.until(lambda: self.session("gateway"), "a session")
        self.assertEqual(before["public_key"], self.session("gateway")["public_key"])
        self.assertEqual(program.end(), OK)
        self.left_behind()

    def test_no_signal_is_lost(self):
        """Signals at any moment of the loop: the last one is always acted upon."""
        program = self.start(CLIENT, env={"RUST_LOG": "error"})
        box.until(self.session, "a session")
        for i in range(200):
            program.kill(signal.SIGHUP)
            time.sleep(0.0005 * (i % 7))
        self.assertEqual(program.end(), OK)

    def test_second_signal_forces(self):
        program = self.start(CLIENT)
        program.wait_for(READY)
        program.kill(signal.SIGSTOP)
        box.until(lambda: program.status("State").startswith("T"), "stopped")
        program.kill(signal.SIGINT)
        program.kill(signal.SIGTERM)
        program.kill(signal.SIGCONT)
        self.assertIn(program.process.wait(30), (128 + 2, 128 + 15))
        subprocess.run([CLIENT, "-u", f"ws://127.0.0.1:{self.portal.port}", "-i", "cl-1", "--exit"], check=True, timeout=30,
                       env=box.program_env({"FIREZONE_TOKEN": "ct"}), stdout=subprocess.DEVNULL)
        self.left_behind()  # the next run tidies up

    # --- ends ---

    def ends(self, program, code, *texts):
        self.assertEqual(program.end(None), code, program.out + program.err)
        self.assertRegex(program.err, r"\Afz-(client|gateway): [^\n]+\n\Z")
        for text in texts:
            self.assertIn(text, program.err)
        self.left_behind()

    def test_token_ends(self):
        for which, name in (CLIENT, "cl"), (GATEWAY, "gw"):
            program = self.start(which)
            program.wait_for(READY)
            self.portal.ctl("kick", name)
            self.ends(program, TOKEN, "expired", "make a new one")
            self.assertNotIn("next attempt", program.out)

    def test_portal_refuses_join(self):
        self.portal.ctl("fail-join", "reason=disabled", "role=client")
        self.ends(self.start(CLIENT), REFUSED, "refused the join", "disabled")

    def test_portal_lost(self):
        for which in CLIENT, GATEWAY:
            program = self.start(which, "-m", "0")
            program.wait_for(READY)
            self.portal.end()
            self.ends(program, REFUSED, "cannot be reached")
            self.portal.start()

    def test_portal_comes_back(self):
        program = self.start(GATEWAY)
        program.wait_for(READY)
        self.portal.ctl("drop", "gw")
        program.wait_for("lost the portal")
        program.wait_for("signed in at the portal", times=2)
        self.assertEqual(program.end(), OK)

    def test_interface_deleted(self):
        program = self.start(GATEWAY)
        program.wait_for(READY)
        addresses = ["ip", "-br", "address", "show", "dev", box.TUNNEL]
        before = subprocess.check_output(addresses)
        subprocess.run(["ip", "link", "delete", box.TUNNEL], check=True)
        program.wait_for("the tunnel interface is there again")
        give_up = time.monotonic() + 20
        while subprocess.check_output(addresses) != before:
            self.assertLess(time.monotonic(), give_up)
            time.sleep(0.05)
        for times in range(2, 11):
            subprocess.run(["ip", "link", "delete", box.TUNNEL], check=True)
            program.wait_for("the tunnel interface is there again", times=times)
        subprocess.run(["ip", "link", "delete", box.TUNNEL], check=True)
        self.ends(program, FAILED, "the tunnel interface", "start it again")


if __name__ == "__main__":
    *programs, PORTAL = [os.path.realpath(path) for path in sys.argv[1:4]]
    CLIENT, GATEWAY = box.within_reach(box.enter(), *programs)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
