#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How both programs start, and every way in which they do not: one sentence and a status of its own for each.
Usage: start.py FZ-CLIENT FZ-GATEWAY [TEST...]"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import unittest
import urllib.parse

import box

CLIENT, GATEWAY = None, None
OK, FAILED, USAGE, TOKEN, PRIVILEGE, NO_TUN, RUNNING, PORTAL = range(8)
AS_USER = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
AS_USER_WITH_NET = AS_USER + ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
CLOSED = "ws://127.0.0.1:9"
DENY = os.environ.get("DENY")
unreachable = {}


class Answer(threading.Thread):
    """A portal that gives one answer to everybody; `requests` is what it was asked."""

    def __init__(self, status, body=b"", kind="application/problem+json"):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.answer = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        self.requests = []
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with s:
                data = b""
                while b"\r\n\r\n" not in data:
                    more = s.recv(65536)
                    if not more:
                        break
                    data += more
                self.requests.append(data.decode())
                s.sendall(self.answer)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def query(self):
        target = self.requests[0].split(" ")[1]
        return {k: v[0] for k, v in urllib.parse.parse_qs(target.partition("?")[2]).items()}

    def header(self, name):
        found = re.search(rf"(?mi)^{name}: (.*?)\r$", self.requests[0])
        return found and found[1]


def problem(code):
    return json.dumps({"type": "about:blank", "code": code, "detail": code}).encode()


class Start(unittest.TestCase):
    def ends(self, code, argv, *texts, env=None, before=(), silent=False):
        got, out, err = box.run(argv, env, before=before)
        self.assertEqual(got, code, (argv, out, err))
        if code != OK:
            self.assertRegex(err, r"\Afz-(client|gateway): [^\n]+\n\Z")
        for text in texts:
            self.assertIn(text, err)
        return out

    def client(self, code, *words, texts=(), env=None, before=()):
        return self.ends(code, [CLIENT, "-i", "abc", "-u", CLOSED, *words], *texts, env={"FIREZONE_TOKEN": "t", **(env or {})},
                         before=before)

    def gateway(self, code, *words, texts=(), env=None, before=()):
        return self.ends(code, [GATEWAY, "-i", "abc", "-u", CLOSED, "--no-inc-buf", *words], *texts,
                         env={"FIREZONE_TOKEN": "t", **(env or {})}, before=before)

    # --- privileges and the device ---

    def test_user_without_privilege(self):
        for program in self.client, self.gateway:
            program(PRIVILEGE, before=AS_USER, texts=["CAP_NET_ADMIN", "as root"])
            program(PRIVILEGE, "--no-check", before=AS_USER, texts=["CAP_NET_ADMIN"])

    def test_root_without_privilege(self):
        self.gateway(PRIVILEGE, before=["setpriv", "--bounding-set=-net_admin"], texts=["root lacks", "--cap-add NET_ADMIN"])

    def test_check_needs_no_privilege(self):
        self.assertIn("check passed", self.client(OK, "--check", before=AS_USER))

    def without_tun(self, *more, mode=None):
        node = "" if mode is None else f"mknod -m {mode} /dev/net/tun c 10 200 && "
        return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none /dev/net && {node}exec "$@"', "sh", *more]

    def test_no_device(self):
        no_node = self.without_tun("setpriv", "--bounding-set=-mknod")
        for program in self.client, self.gateway:
            program(NO_TUN, before=no_node, texts=["/dev/net/tun", "modprobe tun"])
            program(NO_TUN, "--no-check", before=no_node, texts=["/dev/net/tun"])

    def test_no_access_to_the_device(self):
        self.gateway(PRIVILEGE, before=self.without_tun(*AS_USER_WITH_NET, mode="0600"),
                     texts=["/dev/net/tun may not be opened", "chmod 0666"])

    @unittest.skipUnless(DENY, "built without libseccomp")
    def test_no_sockets(self):
        for program in self.client, self.gateway:
            program(PRIVILEGE, before=[DENY, "2,10"], texts=["no UDP socket can be made", "RestrictAddressFamilies="])
            program(PRIVILEGE, before=[DENY, "16"], texts=["netlink", "RestrictAddressFamilies=", "seccomp profile"])

    @unittest.skipUnless(DENY, "built without libseccomp")
    def test_one_family_is_enough(self):
        portal = Answer("503 Later", kind="text/plain")
        program = box.Program([DENY, "10", GATEWAY, "-i", "abc", "-u", portal.url, "--no-inc-buf"], {"FIREZONE_TOKEN": "t"})
        program.wait_for("next attempt")
        self.assertEqual(program.end(), OK)
        program.close()
        portal.stop()

    def test_routes_of_a_network_that_is_not_ours(self):
        """Root of a container that has users of its own, on the network of the host."""
        self.gateway(PRIVILEGE, before=["unshare", "-Ur"], texts=["does not reach this network", "--network host"])

    def test_check_leaves_nothing(self):
        portal = Answer("503 Later", kind="text/plain")
        program = box.Program([GATEWAY, "-i", "abc", "-u", portal.url, "--no-inc-buf"], {"FIREZONE_TOKEN": "t"})
        program.wait_for("next attempt")
        routes = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("192.0.2.1", routes)
        self.assertEqual(program.end(), OK)
        program.close()
        portal.stop()

    def test_interface_in_use(self):
        portal = Answer("503 Later", kind="text/plain")
        first = box.Program([CLIENT, "-i", "abc", "-u", portal.url], {"FIREZONE_TOKEN": "t"})
        try:
            first.wait_for("next attempt")
            for program in self.client, self.gateway:
                program(RUNNING, texts=["tun-firezone is in use", "stop the other"])
        finally:
            self.assertEqual(first.end(), OK)
            first.close()
            portal.stop()

    # --- token ---

    def test_a14_3_token_file(self):
        os.makedirs("/etc/dev.firezone.client", exist_ok=True)
        path = box.TOKEN_FILE
        rows = [(b"tok", mode, 0, 0, OK, "") for mode in (0o600, 0o400, 0o200, 0o000, 0o1600, 0o4600)]
        rows += [(b"tok", mode, 0, 0, TOKEN, "chmod 0600") for mode in (0o640, 0o644, 0o604, 0o620, 0o500, 0o700, 0o610)]
        rows += [
            (b"tok", 0o600, 1000, 0, TOKEN, "belongs to another user"),
            (b"tok", 0o600, 0, 1000, TOKEN, "belongs to another group"),
            (b" tok \r\n", 0o400, 0, 0, OK, ""),
            (b"t" * 8000, 0o400, 0, 0, OK, ""),
            (b"t" * 8001, 0o400, 0, 0, TOKEN, "holds no token"),
            (b"", 0o400, 0, 0, TOKEN, "is empty"),
            (b" \n", 0o400, 0, 0, TOKEN, "is empty"),
            (b"a\0b", 0o400, 0, 0, TOKEN, "holds no token"),
            (b"a\x1bb", 0o400, 0, 0, TOKEN, "characters"),
            (b"\xff\xfe", 0o400, 0, 0, TOKEN, "characters"),
        ]
        for content, mode, uid, gid, code, text in rows:
            with self.subTest(content=content[:20], mode=oct(mode), uid=uid, gid=gid):
                with open(path, "wb") as file:
                    file.write(content)
                os.chown(path, uid, gid)
                os.chmod(path, mode)
                for options in ([], ["--token-path", path]):
                    self.ends(code, [CLIENT, "-i", "abc", "--check", *options], text)
                os.symlink(path, "/etc/link-to-token")
                self.ends(code, [CLIENT, "-i", "abc", "--check"], env={"FIREZONE_TOKEN_PATH": "/etc/link-to-token"})
                os.unlink("/etc/link-to-token")
                os.unlink(path)
        self.ends(TOKEN, [CLIENT, "--token-path", "/etc"], "there is no token", "/etc")
        self.ends(TOKEN, [CLIENT, "--token-path", "/etc/nothing/token"], "there is no token")

    def test_a14_2_check_without_a_token(self):
        out = self.ends(TOKEN, [CLIENT, "-i", "abc", "--check"], "there is no token", box.TOKEN_FILE)
        self.assertNotIn("check passed", out)

    def test_a10_19_token_sources(self):
        os.makedirs("/etc/creds", exist_ok=True)
        with open("/etc/creds/FIREZONE_TOKEN", "w", encoding="ascii") as file:
            file.write(" from-credential\n")
        os.chmod("/etc/creds/FIREZONE_TOKEN", 0o444)
        creds = {"CREDENTIALS_DIRECTORY": "/etc/creds"}
        for which, env, words, want in (
                (GATEWAY, {"FIREZONE_TOKEN": "from-env", **creds}, [], "from-env"),
                (GATEWAY, {"FIREZONE_TOKEN": "", **creds}, [], "from-credential"),
                (GATEWAY, creds, [], "from-credential"),
                (GATEWAY, {"FIREZONE_TOKEN": "from-env"}, ["from-argument"], "from-argument"),
                (GATEWAY, {}, ["--", "-from-argument"], "-from-argument"),
                (GATEWAY, {"FIREZONE_TOKEN": "two par\tts"}, [], "twoparts"),
                (CLIENT, creds, [], "from-credential"),
                (CLIENT, {"FIREZONE_TOKEN": "from-env", **creds}, [], "from-env")):
            with self.subTest(env=env, words=words):
                portal = Answer("401 No", problem("invalid_token"))
                _, out, err = box.run([which, "-i", "abc", "-u", portal.url, *words], env)
                portal.stop()
                self.assertEqual(portal.header("x-authorization"), f"Bearer {want}")
                self.assertNotIn(want, out + err)
                self.assertEqual("command line" in out, "from-argument" in want)
        self.ends(TOKEN, [GATEWAY, "-i", "abc"], "there is no token", "FIREZONE_TOKEN")
        self.ends(TOKEN, [GATEWAY, "-i", "abc"], "there is no token", env={"CREDENTIALS_DIRECTORY": "/var"})
        self.ends(TOKEN, [GATEWAY, "-i", "abc"], "characters", env={"FIREZONE_TOKEN": b"\xff\xfe"})

    def test_token_is_erased(self):
        portal = Answer("503 Later", kind="text/plain")
        for which, words in (CLIENT, []), (GATEWAY, ["s3cr3t-argument"]):
            program = box.Program([which, "-i", "abc", "-u", portal.url, *words], {"FIREZONE_TOKEN": "s3cr3t", "MARK": "here"})
            program.wait_for("next attempt")
            with open(f"/proc/{program.pid}/environ", "rb") as file:
                environ = file.read()
            with open(f"/proc/{program.pid}/cmdline", "rb") as file:
                cmdline = file.read()
            self.assertEqual(program.end(), OK)
            self.assertIn(b"MARK=here", environ)
            self.assertNotIn(b"s3cr3t", environ + cmdline)
            self.assertNotIn("s3cr3t", program.out + program.err)
            program.close()
        portal.stop()

    # --- portal ---

    def test_portal_refuses(self):
        for status, body, kind, code, text in (
                ("401 No", problem("invalid_token"), "application/problem+json", TOKEN, "make a new one"),
                ("401 No", problem("missing_token"), "application/problem+json", TOKEN, "refused the token"),
                ("401 No", b"go away", "text/plain", PORTAL, "refused to let this device in"),
                ("401 No", b'{"code":', "application/problem+json", PORTAL, "refused to let this device in")):
            portal = Answer(status, body, kind)
            for which in CLIENT, GATEWAY:
                with self.subTest(program=which, body=body):
                    self.ends(code, [which, "-i", "abc", "-u", portal.url, "--no-check"], text, env={"FIREZONE_TOKEN": "t"})
            portal.stop()

    def test_json_has_the_reason_too(self):
        portal = Answer("401 No", problem("invalid_token"))
        out = self.ends(TOKEN, [GATEWAY, "-i", "abc", "-u", portal.url, "--log-format", "json"], env={"FIREZONE_TOKEN": "t"})
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([list(line)[0:3] for line in lines], [["timestamp", "level", "message"]] * len(lines))
        self.assertIn("refused the token", "".join(line["message"] for line in lines if line["level"] == "ERROR"))
        portal.stop()

    def test_stop_while_dialling(self):
        portal = Answer("503 Later", kind="text/plain")
        for which in CLIENT, GATEWAY:
            for number in 2, 15:
                program = box.Program([which, "-i", "abc", "-u", portal.url], {"FIREZONE_TOKEN": "t"})
                program.wait_for("next attempt")
                self.assertEqual(program.end(number), OK)
                program.close()
        portal.stop()

    def test_unreachable_portal(self):
        """Before the first success 15 s of attempts; started long before, so that nothing has to wait here."""
        for which, program in unreachable.items():
            with self.subTest(program=which):
                program.process.wait(30)
                self.assertEqual(program.process.returncode, PORTAL, program.out + program.err)
                self.assertRegex(program.err, r"\Afz-\w+: the portal cannot be reached .*; check --api-url.*\n\Z")
                self.assertGreaterEqual(program.out.count("next attempt in 1.0 s"), 14)
                program.close()

    # --- identity ---

    def identity(self, which, *words, env=None):
        portal = Answer("401 No", problem("invalid_token"))
        box.run([which, "-u", portal.url, "--no-check", *words], {"FIREZONE_TOKEN": "t", **(env or {})})
        portal.stop()
        return portal

    def test_a14_11_identity(self):
        derived = {CLIENT: "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c",
                   GATEWAY: "eeefe5d1cb3807dfc3ae24794878ec3147027390d839d1d718d8e42bcfde3336"}
        files = {CLIENT: box.CLIENT_ID_FILE, GATEWAY: box.GATEWAY_ID_FILE}
        uuid = "7be1b5b8-7f0e-4e7e-9a40-2f5a3f6c9d11"
        for which, want in derived.items():
            self.assertEqual(self.identity(which).query()["external_id"], want)
            self.assertEqual(self.identity(which, env={"FIREZONE_ID": ""}).query()["external_id"], want)
            self.assertFalse(os.path.exists(files[which]))  # what can be derived is not stored
            self.assertEqual(os.stat(os.path.dirname(files[which])).st_mode & 0o7777, 0o770)
            for given, sent in (
                    (uuid, "8ae78fc4d0e21b5f45e876958c3cd33d83ad4b354ee17b7b5654b6bdb55b2540"),
                    (uuid.upper(), "ad6958f45ca2cffb5e657f6ef6714c14ab490cd9f58a8c433879529ea37f2e44"),
                    (f"{{{uuid}}}", "f9a61308e21b4349cf670ddf5ca21299c58738011c4878351800f8003bf9da43"),
                    (f"urn:uuid:{uuid}", "32f35c7da5d2dac1ddacbd4213e63ba2e6be0f0c6e2e836f05037aecf48db6a3"),
                    ("4f8524fd33934a31a180a598f9457d80", "05c3f2f2c55836a4376ca0c0154d5d2d4898644c2366c64c2cc13ca6302dc701"),
                    ("edge-gw-1", "edge-gw-1"), ("a b/c+ü", "a b/c+ü")):
                self.assertEqual(self.identity(which, "-i", given).query()["external_id"], sent)
            self.assertEqual(self.identity(which, "-i", "x", env={"FIREZONE_ID": "y"}).query()["external_id"], "x")
            # the file wins over what could be derived
            with open(files[which], "w", encoding="ascii") as file:
                file.write('{"id":"stored","more":1}')
            os.chmod(files[which], 0o666)
            self.assertEqual(self.identity(which).query()["external_id"], "stored")
            self.assertEqual(os.stat(files[which]).st_mode & 0o777, 0o640)
            with open(files[which], "w", encoding="ascii") as file:
                file.write("junk")
            self.assertEqual(self.identity(which).query()["external_id"], want)

    def test_a14_11_identity_without_machine_id(self):
        os.rename("/etc/machine-id", "/etc/machine-id.away")
        try:
            for which, path in (CLIENT, box.CLIENT_ID_FILE), (GATEWAY, box.GATEWAY_ID_FILE):
                if os.path.exists(path):
                    os.unlink(path)
                first = self.identity(which).query()["external_id"]
                self.assertRegex(first, r"\A[0-9a-f]{64}\Z")
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
                with open(path, encoding="ascii") as file:
                    self.assertEqual(file.read(), f'{{"id":"{first}"}}')
                self.assertEqual(self.identity(which).query()["external_id"], first)
                with open(path, "w", encoding="ascii") as file:
                    file.write("junk")
                self.ends(FAILED, [which], path, "--firezone-id", env={"FIREZONE_TOKEN": "t"})
                os.unlink(path)
        finally:
            os.rename("/etc/machine-id.away", "/etc/machine-id")

    def test_name_and_agent(self):
        release, machine = os.uname().release, os.uname().machine
        for which, component in (CLIENT, "headless-client/1.5.12"), (GATEWAY, "gateway/1.6.1"):
            seen = self.identity(which)
            self.assertEqual(seen.query()["name"], socket.gethostname())
            self.assertEqual(seen.header("user-agent"), f"Debian/12.0.0 {component} ({machine}; {release})")
            self.assertEqual(self.identity(which, "--firezone-name", "FZ Ü").query()["name"], "FZ Ü")
            self.assertEqual(self.identity(which, env={"FIREZONE_NAME": "n"}).query()["name"], "n")


if __name__ == "__main__":
    programs = [os.path.realpath(path) for path in sys.argv[1:3]]
    CLIENT, GATEWAY = box.within_reach(box.enter(), *programs)
    # In networks of their own, for they hold their interface all the while.
    for each in CLIENT, GATEWAY:
        unreachable[each] = box.Program(["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", each, "-i", "abc",
                                         "-u", CLOSED], {"FIREZONE_TOKEN": "t", "FIREZONE_NO_TELEMETRY": "true"})
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
