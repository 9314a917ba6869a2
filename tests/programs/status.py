#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The status socket: what it tells, what it does, and who cannot harm it. Also readiness, the watchdog and the last lines.
Usage: status.py FZ-CLIENT FZ-GATEWAY FZ-DEVPORTAL [TEST...]"""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import unittest

import box
from run import CONFIG, READY
from wsclient import Portal

CLIENT, GATEWAY, PORTAL = None, None, None
OK, FAILED, USAGE = range(3)
SOCKETS = {"client": "/run/fz-client/status.sock", "gateway": "/run/fz-gateway/status.sock"}


class Status(unittest.TestCase):
    def setUp(self):
        self.portal = Portal(PORTAL, CONFIG)
        self.open = []

    def tearDown(self):
        for program in self.open:
            program.close()
        self.portal.stop()

    def start(self, role, *words, env=None, ready=True):
        argv = [CLIENT if role == "client" else GATEWAY, "-u", f"ws://127.0.0.1:{self.portal.port}", *words]
        program = box.Program(argv, {"FIREZONE_TOKEN": role[0] + "t", "FIREZONE_ID": "cl-1" if role == "client" else "gw-1",
                                     **(env or {})})
        self.open.append(program)
        if ready:
            program.wait_for(READY)
        return program

    def ask(self, role, *words):
        return box.run([CLIENT if role == "client" else GATEWAY, *words])

    def snapshot(self, role):
        code, out, err = self.ask(role, "status", "--json")
        self.assertEqual((code, err, out.count("\n")), (OK, "", 1))
        return json.loads(out)

    def socket(self, path=SOCKETS["client"]):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(path)  # waits its turn, which one with a time limit does not
        s.settimeout(30)
        return s

    @staticmethod
    def line(s):
        data = b""
        while not data.endswith(b"\n"):
            more = s.recv(65536)
            if not more:
                break
            data += more
        return data

    # --- what it tells ---

    def test_json_and_table(self):
        for role in SOCKETS:
            program = self.start(role)
            shown = self.snapshot(role)
            self.assertEqual((shown["format"], shown["role"], shown["portal"]["state"]), (1, role, "up"))
            self.assertEqual(shown["process"]["pid"], program.pid)
            self.assertEqual(shown["process"]["name"], f"fz-{role}")
            self.assertEqual(shown["peers"], [])
            if role == "client":
                self.assertEqual({r["address"] for r in shown["resources"]}, {"10.20.0.0/16", "fd20::/64"})
            code, out, err = self.ask(role, "status")
            self.assertEqual((code, err), (OK, ""))
            self.assertRegex(out, rf"\Afz-{role} \d+\.\d+\.\d+, process {program.pid}, running for \d+")
            self.assertIn(f"Portal 127.0.0.1:{self.portal.port} (no TLS): up; joined 1 times, lost 0 times\n", out)
            for title in ("RELAY", "PEER", "RESOURCE" if role == "client" else "0 clients with 0 grants"):
                self.assertIn(f"\n{title}", out)
            self.assertEqual(program.end(), OK)

    def test_portal_away(self):
        self.start("client")
        self.portal.ctl("fail-next", "status=503", "count=100")
        self.portal.ctl("drop", "cl")
        shown = box.until(lambda: (s := self.snapshot("client"))["portal"]["state"] != "up" and "reason" in s["portal"] and s,
                          "the portal is away")
        self.assertEqual(shown["portal"]["losses"], 1)
        self.assertRegex(self.ask("client", "status")[1], r"Portal .*: (waiting|connecting|signing in)")
        self.portal.ctl("fail-clear")
        box.until(lambda: self.snapshot("client")["portal"]["state"] == "up", "it is back", 60)

    def test_names_of_others_do_no_harm(self):
        self.start("client")
        self.portal.ctl("update-resource", "Lab", "name=a\x1b[31mb")
        box.until(lambda: "a\x1b[31mb" in [r["name"] for r in self.snapshot("client")["resources"]], "the new name")
        out = self.ask("client", "status")[1]
        self.assertNotIn("\x1b", out)
        self.assertIn("a?[31mb", out)

    def test_watch(self):
        self.start("client")
        watch = box.Program([CLIENT, "status", "--watch", "--json"])
        self.open.append(watch)
        box.until(lambda: watch.out.count("\n") >= 2, "two snapshots")
        for line in watch.out.splitlines()[:2]:
            json.loads(line)
        self.assertEqual(watch.end(signal.SIGINT), -signal.SIGINT)

    # --- what it does ---

    def test_log_filter(self):
        program = self.start("client")
        self.assertNotIn("DEBUG", program.out)
        self.assertEqual(self.ask("client", "log", "info,portal=debug")[0], OK)
        self.assertEqual(self.snapshot("client")["process"]["log"], "info,portal=debug")
        self.assertEqual(self.ask("client", "reload")[0], OK)
        program.wait_for("DEBUG portal: ")
        for bad in "loud=x=y", "main=loud", "[x", "x" * 1100:
            code, out, err = self.ask("client", "log", bad)
            self.assertEqual((code, out), (FAILED, ""))
            self.assertIn("no log filter", err)
        self.assertEqual(self.ask("client", "log", "x" * 4000)[0], USAGE)
        self.assertEqual(self.ask("client", "log", "a\nreload")[0], USAGE)
        self.assertEqual(self.snapshot("client")["process"]["log"], "info,portal=debug")
        self.assertEqual(self.ask("client", "log", "off")[0], OK)
        before = program.out
        self.assertEqual(self.ask("client", "reload")[0], OK)
        box.until(lambda: self.snapshot("client")["portal"]["joins"] == 3, "joined again")
        self.assertEqual(program.out, before)

    def test_a10_20_flow_logs_in_the_filter(self):
        for words, env, want in (([], {}, "info"), (["--flow-logs"], {}, "info,flow_logs=trace"),
                                 (["--flow-logs"], {"RUST_LOG": "info,portal=debug"}, "info,portal=debug,flow_logs=trace")):
            program = self.start("gateway", *words, env=env)
            self.assertEqual(self.snapshot("gateway")["process"]["log"], want)
            self.assertEqual(program.end(), OK)

    def test_reload_keeps_the_key(self):
        for role in SOCKETS:
            program = self.start(role)
            key = self.public_key(role)
            self.assertEqual(self.ask(role, "reload")[0], OK)
            box.until(lambda role=role: self.snapshot(role)["portal"]["joins"] == 2, "joined again")
            self.assertEqual(box.until(lambda role=role: self.public_key(role), "a session"), key)
            self.assertEqual(program.end(), OK)

    def public_key(self, role):
        found = [s for s in self.portal.ctl("state")["sessions"] if s["role"] == role and s["joined"]]
        return found[0]["public_key"] if found else None

    def test_reload_reads_the_token_again(self):
        path = "/etc/fz-test-token"

        def write(token, mode=0o600):
            with open(path, "w", encoding="ascii") as file:
                file.write(token)
            os.chmod(path, mode)

        def joins(n):
            box.until(lambda: self.snapshot("client")["portal"]["joins"] == n, f"join {n}")

        write("ct")
        program = self.start("client", "--token-path", path, env={"FIREZONE_TOKEN": ""})
        write("ct", 0o644)
        self.ask("client", "reload")  # unsafe: said, and the old one stays
        joins(2)
        self.assertIn("chmod 0600", program.err)
        os.unlink(path)
        self.ask("client", "reload")
        joins(3)
        program.kill(signal.SIGHUP)
        joins(4)
        write("a-token-that-the-portal-does-not-know")
        self.ask("client", "reload")
        self.assertEqual(program.end(None), 3)
        self.assertIn("make a new one", program.err)

    # --- who may, and what becomes of the socket ---

    def test_permissions(self):
        program = self.start("client")
        found = os.stat(SOCKETS["client"])
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual((found.st_mode & 0o777, found.st_uid), (0o600, 0))
        self.assertEqual(os.stat(os.path.dirname(SOCKETS["client"])).st_mode & 0o777, 0o755)
        code, out, err = box.run([CLIENT, "status"], before=["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"])
        self.assertEqual((code, out), (FAILED, ""))
        self.assertIn("ask as root", err)
        self.assertEqual(program.end(), OK)
        self.assertFalse(os.path.exists(SOCKETS["client"]))
        self.assertEqual(self.ask("client", "status")[0], FAILED)

    def test_socket_in_the_way(self):
        path = "/run/fz-here.sock"
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        dead.bind(path)
        dead.close()  # left behind by a killed process
        program = self.start("client", "--status-socket", path)
        self.assertEqual(box.run([CLIENT, "status", "--json"], {"FIREZONE_STATUS_SOCKET": path})[0], OK)
        self.assertEqual(program.end(), OK)
        alive = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        alive.bind(path)
        alive.listen()
        program = self.start("client", "--status-socket", path)
        self.assertIn("no status socket", program.out)
        self.assertEqual(program.end(), OK)
        self.assertTrue(os.path.exists(path))  # another's
        alive.close()
        os.unlink(path)
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        program = self.start("client", "--status-socket", path)
        self.assertIn("no status socket", program.out)
        self.assertEqual(program.end(), OK)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(path)

    # --- garbage and crowds ---

    def test_garbage(self):
        program = self.start("client")
        for data in (b"\n", b"bogus\n", b"status \n", b"STATUS\n", b"log\n", b"log \n" * 3, b"\0\0\0\n", b"\xff\xfe\n",
                     b"{\"a\":1}\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"log [[[[[=,\n"):
            with self.socket() as s:
                s.sendall(data)
                answer = json.loads(self.line(s).split(b"\n")[0])
                self.assertEqual(list(answer), ["ok"] if data.startswith(b"log \n") else ["error"], data)
        for data in (b"", b"sta", b"x" * 5000, bytes(range(256)) * 400):
            with self.socket() as s:
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
                except (BrokenPipeError, ConnectionResetError):
                    pass
        with self.socket() as s:  # many requests at once, read late
            s.sendall(b"status\n" * 100)
            reader = s.makefile("rb")
            for _ in range(100):
                self.assertEqual(json.loads(reader.readline())["role"], "client")
        with self.socket() as s:  # byte by byte
            for byte in b"status\r\n":
                s.sendall(bytes([byte]))
            self.assertEqual(json.loads(self.line(s))["role"], "client")
        with self.socket() as s:  # never reads, and leaves
            s.sendall(b"status\n" * 200)
        self.assertEqual(self.snapshot("client")["portal"]["state"], "up")
        self.assertEqual(program.end(), OK)

    def test_thousand_connections(self):
        program = self.start("client")
        before = len(os.listdir(f"/proc/{program.pid}/fd"))
        crowd = [self.socket() for _ in range(1000)]
        self.assertEqual(self.snapshot("client")["portal"]["state"], "up")
        self.assertLessEqual(len(os.listdir(f"/proc/{program.pid}/fd")), before + 33)
        for i, s in enumerate(crowd):
            try:
                s.sendall(b"status\n" if i % 2 else b"sta")
            except OSError:
                pass
        self.assertEqual(self.snapshot("client")["portal"]["state"], "up")
        for s in crowd:
            s.close()
        self.assertEqual(self.snapshot("client")["portal"]["losses"], 0)
        box.until(lambda: len(os.listdir(f"/proc/{program.pid}/fd")) <= before + 1, "all are closed")
        self.assertEqual(program.end(), OK)

    def test_silent_connection_is_closed(self):
        self.start("client")
        with self.socket() as s:
            s.settimeout(60)
            s.sendall(b"sta")
            self.assertEqual(s.recv(10), b"")

    # --- the service manager, the end ---

    def test_watchdog(self):
        path = f"{self.portal.dir}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(30)
            program = self.start("gateway", env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
            told = [listener.recv(100).strip() for _ in range(5)]
            self.assertEqual(told.count(b"READY=1"), 1)
            self.assertEqual(told.count(b"WATCHDOG=1"), 4)
            self.assertEqual(program.end(), OK)

    def test_summary(self):
        program = self.start("client")
        self.assertEqual(program.end(), OK)
        self.assertRegex(program.out, r"INFO main: ran for [^:]+: sent 0 packets \(0 B\), received 0 \(0 B\); "
                                      r"joined the portal 1 times, lost it 0 times\n")
        self.assertTrue(re.search(r"goodbye\n\Z", program.out))

    def test_wakeups(self):
        """Nothing is polled for: an idle program sleeps, also with a status socket."""
        program = self.start("client")
        box.until(lambda: program.status("State").startswith("S"), "asleep")
        before = int(program.status("voluntary_ctxt_switches"))
        subprocess.run(["sleep", "2"], check=True)
        self.assertLess(int(program.status("voluntary_ctxt_switches")) - before, 20)


if __name__ == "__main__":
    *programs, PORTAL = [os.path.realpath(path) for path in sys.argv[1:4]]
    CLIENT, GATEWAY = box.within_reach(box.enter(), *programs)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
