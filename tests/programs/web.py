#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Health checks and metrics over HTTP.
Usage: web.py FZ-CLIENT FZ-GATEWAY FZ-DEVPORTAL [TEST...]"""
import http.client
import os
import re
import signal
import socket
import sys
import unittest

import box
from run import CONFIG, READY
from wsclient import Portal

CLIENT, GATEWAY, PORTAL = None, None, None
OK = 0


def ask(port, path, method="GET", host="127.0.0.1", body=None):
    """Status, headers, body."""
    http_ = http.client.HTTPConnection(host, port, timeout=10)
    try:
        http_.request(method, path, body=body)
        answer = http_.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        http_.close()


class Web(unittest.TestCase):
    def setUp(self):
        self.portal = Portal(PORTAL, CONFIG)
        self.open = []

    def tearDown(self):
        for program in self.open:
            program.close()
        self.portal.stop()

    def start(self, role, *words, ready=True, env=None):
        program = box.Program([CLIENT if role == "client" else GATEWAY, "-u", f"ws://127.0.0.1:{self.portal.port}", *words],
                              {"FIREZONE_TOKEN": role[0] + "t", "FIREZONE_ID": "cl-1" if role == "client" else "gw-1", **(env or {})})
        self.open.append(program)
        if ready:
            program.wait_for(READY)
        return program

    def test_a10_18_health(self):
        program = self.start("gateway")
        for method in "GET", "HEAD":
            status, headers, body = ask(8080, "/healthz", method)
            self.assertEqual((status, body, headers["content-length"]), (200, b"", "0"))
            self.assertNotIn("content-type", headers)
            self.assertIn("date", headers)
            status, headers, body = ask(8080, "/readyz", method)
            self.assertEqual((status, body, headers["content-type"]), (200, b"", "text/plain; charset=utf-8"))
        self.assertEqual(ask(8080, "/healthz?x=y")[0], 200)
        for path in "/", "/healthz/", "/metrics", "/x":
            self.assertEqual((ask(8080, path)[0], ask(8080, path, "POST", body="x" * 100)[0]), (404, 404))
        for method in "POST", "PUT", "DELETE", "OPTIONS":
            status, headers, body = ask(8080, "/readyz", method, body="some")
            self.assertEqual((status, headers["allow"], body), (405, "GET,HEAD", b""))
        self.assertEqual(program.end(), OK)

    def test_a10_18_ready_is_what_it_says(self):
        self.portal.ctl("fail-next", "status=503", "count=1000")
        program = self.start("gateway", "--health-check-addr", "[::]:8099", ready=False)
        program.wait_for("next attempt")
        for host in "127.0.0.1", "::1":
            self.assertEqual((ask(8099, "/healthz", host=host)[0], ask(8099, "/readyz", host=host)[0]), (200, 503))
        self.portal.ctl("fail-clear")
        box.until(lambda: ask(8099, "/readyz")[0] == 200, "ready", 30)
        self.portal.ctl("fail-next", "status=503", "count=1000")
        self.portal.ctl("drop", "gw")
        box.until(lambda: ask(8099, "/readyz")[0] == 503, "the portal is away")
        self.assertEqual(ask(8099, "/healthz")[0], 200)

    def test_address_in_use(self):
        with socket.create_server(("127.0.0.1", 8098)):
            program = self.start("gateway", env={"HEALTH_CHECK_ADDR": "127.0.0.1:8098"})
            self.assertIn("WARN main: nothing is served at 127.0.0.1:8098: Address already in use", program.out)
            self.assertEqual(program.end(), OK)

    def test_metrics(self):
        for role in "client", "gateway":
            program = self.start(role, "--metrics-addr", "127.0.0.1:9100", "--no-check")
            status, headers, body = ask(9100, "/metrics")
            self.assertEqual((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
            self.check_format(body.decode())
            rows = dict(re.findall(r"^([a-z_]+(?:{[^}]*})?) ([-+.e0-9]+)$", body.decode(), re.M))
            self.assertEqual(float(rows["fzconn_portal_up"]), 1)
            self.assertEqual(float(rows["fzconn_portal_joins_total"]), 1)
            self.assertEqual(float(rows['fzconn_peers{path="direct"}']), 0)
            self.assertIn('fzconn_drops_total{layer="tunnel",reason="refused by filter"}', rows)
            self.assertIn('fzconn_drops_total{layer="system",reason="UDP: send failed"}', rows)
            self.assertEqual("fzconn_resources" in rows, role == "client")
            self.assertEqual("fzconn_grants" in rows, role == "gateway")
            self.assertEqual(ask(9100, "/readyz")[0], 200)
            self.assertEqual(program.end(), OK)

    def check_format(self, text):
        """Every sample belongs to the metric that was described last, and no metric comes twice."""
        described, kind = [], None
        self.assertTrue(text.endswith("\n"))
        for line in text.splitlines():
            if line.startswith("# HELP "):
                described.append(line.split(" ")[2])
                kind = None
            elif line.startswith("# TYPE "):
                kind = line.split(" ")[3]
                self.assertEqual(line.split(" ")[2], described[-1])
                self.assertIn(kind, ("counter", "gauge"))
                self.assertEqual(kind == "counter", described[-1].endswith("_total"))
            else:
                self.assertIsNotNone(kind, line)
                self.assertRegex(line, rf'\A{described[-1]}({{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*}})? [0-9.]+\Z')
        self.assertEqual(len(described), len(set(described)))

    def test_same_address(self):
        program = self.start("gateway", "--metrics-addr", "127.0.0.1:9101", "--health-check-addr", "127.0.0.1:9101")
        for path in "/metrics", "/healthz", "/readyz":
            self.assertEqual(ask(9101, path)[0], 200)
        self.assertNotIn("WARN", program.out)
        self.assertEqual(program.end(), OK)

    def test_client_listens_nowhere_by_itself(self):
        program = self.start("client")
        with open(f"/proc/{program.pid}/net/tcp", encoding="ascii") as file:
            listening = [line.split()[1] for line in file if " 0A " in line]
        inside = socket.inet_aton("100.64.0.2")[::-1].hex().upper()  # questions about names, from the tunnel alone
        self.assertEqual(len([each for each in listening if not each.startswith(inside)]), 1, listening)  # the portal's
        self.assertEqual(program.end(), OK)

    def test_garbage_and_crowds(self):
        program = self.start("gateway", "--metrics-addr", "127.0.0.1:9102")
        crowd = []
        for data in (b"", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 70000, b"\x16\x03\x01\x02\x00",
                     b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 70000):
            s = socket.create_connection(("127.0.0.1", 9102), 10)
            try:
                s.sendall(data)
            except OSError:
                pass
            crowd.append(s)
        for _ in range(300):
            crowd.append(socket.create_connection(("127.0.0.1", 9102), 10))
        self.assertEqual(program.status("Threads"), "1")
        for s in crowd:
            s.close()
        box.until(lambda: ask(9102, "/metrics")[0] == 200, "it serves again")
        self.assertEqual(program.end(), OK, program.out + program.err)

    def test_scraped_while_it_ends(self):
        for _ in range(5):
            program = self.start("gateway", "--metrics-addr", "127.0.0.1:9103")
            waiting = [socket.create_connection(("127.0.0.1", 9103), 10) for _ in range(20)]
            for s in waiting:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            program.kill(signal.SIGTERM)
            for s in waiting:
                s.settimeout(10)
                try:
                    while s.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                s.close()
            self.assertEqual(program.end(None), OK, program.err)


if __name__ == "__main__":
    *programs, PORTAL = [os.path.realpath(path) for path in sys.argv[1:4]]
    CLIENT, GATEWAY = box.within_reach(box.enter(), *programs)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
