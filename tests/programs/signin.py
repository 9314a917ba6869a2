#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fz-client sign-in and sign-out, at a terminal of our own. Usage: signin.py FZ-CLIENT"""
import os
import pty
import select
import signal
import sys
import tempfile
import termios
import time
import unittest

import box

CLIENT = None
PROMPT = b"Enter the token from your browser: "


class SignIn(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fz-signin-")
        self.path = os.path.join(self.folder.name, "a", "b", "token")

    def tearDown(self):
        self.folder.cleanup()

    def dialogue(self, *words, answer=None, number=None, env=None):
        """Exit status and all that the terminal showed."""
        pid, terminal = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background shell ignores it
            os.execve(CLIENT, [CLIENT, "--token-path", self.path, "sign-in", *words], box.program_env(env))
        shown, asked, give_up = b"", False, time.monotonic() + 30
        while time.monotonic() < give_up:
            if PROMPT in shown and not asked:
                asked = True
                self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
                if answer is not None:
                    os.write(terminal, answer)
                else:
                    os.kill(pid, number)
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    more = os.read(terminal, 4096)
                except OSError:
                    break
                shown += more
        else:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def content(self):
        with open(self.path, encoding="ascii") as file:
            return file.read()

    def test_a14_4_sign_in(self):
        code, shown = self.dialogue(answer=b"  s3cr3t.token-1  \n")
        self.assertEqual(code, 0, shown)
        self.assertIn("https://app.firezone.dev/?as=headless-client", shown)
        self.assertNotIn("s3cr3t", shown)
        self.assertEqual(self.content(), "s3cr3t.token-1")
        self.assertEqual(os.stat(self.path).st_mode & 0o7777, 0o600)
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["token"])
        # what is stored is what the client takes
        code, out, err = box.run([CLIENT, "-i", "abc", "--check", "--token-path", self.path])
        self.assertEqual((code, "check passed" in out), (0, True), err)
        # again, over a file that anybody can read
        os.chmod(self.path, 0o644)
        self.assertEqual(self.dialogue("--account-slug", "my-team", answer=b"second\n")[0], 0)
        self.assertEqual((self.content(), os.stat(self.path).st_mode & 0o7777), ("second", 0o600))

    def test_a14_4_address(self):
        for words, env, want in ((["--account-slug", "my-team"], {}, "https://app.firezone.dev/my-team?as=headless-client"),
                                 ([], {"FIREZONE_ACCOUNT_SLUG": "x"}, "https://app.firezone.dev/x?as=headless-client"),
                                 (["--auth-base-url=http://h:8080"], {}, "http://h:8080/?as=headless-client"),
                                 ([], {"FIREZONE_AUTH_BASE_URL": "http://h/"}, "http://h/?as=headless-client")):
            shown = self.dialogue(*words, env=env, answer=b"t\n")[1]
            self.assertIn(f"  {want}\r\n", shown)

    def test_no_token(self):
        for answer in b"\n", b"\x04":
            code, shown = self.dialogue(answer=answer)
            self.assertEqual(code, 1)
            self.assertIn("no token", shown)
            self.assertFalse(os.path.exists(self.path))

    def test_signal_puts_the_echo_back(self):
        code, shown = self.dialogue(number=signal.SIGINT)
        self.assertEqual(code, -signal.SIGINT)
        self.assertTrue(shown.endswith("\r\n"))
        self.assertFalse(os.path.exists(self.path))

    def test_no_terminal(self):
        code, _, err = box.run(["setsid", "-w", CLIENT, "--token-path", self.path, "sign-in"])
        self.assertEqual(code, 1)
        self.assertIn("no terminal", err)

    def test_no_place(self):
        self.path = "/proc/nothing/token"
        code, shown = self.dialogue(answer=b"t\n")
        self.assertEqual(code, 1)
        self.assertIn("cannot be stored in /proc/nothing/token", shown)

    def sign_out(self, *words, answer=""):
        read, write = os.pipe()
        os.write(write, answer.encode())
        os.close(write)
        done = box.subprocess.run([CLIENT, "--token-path", self.path, "sign-out", *words], stdin=read, capture_output=True,
                                  text=True, env=box.program_env(), check=False)
        os.close(read)
        return done.returncode, done.stdout, done.stderr

    def test_a14_4_sign_out(self):
        code, out, _ = self.sign_out()
        self.assertEqual((code, "There is no token" in out), (0, True))
        os.makedirs(os.path.dirname(self.path))
        for words, answer, gone in (([], "", False), ([], "n\n", False), ([], "yesterday\n", False), ([], "y\n", True),
                                    ([], " YES \n", True), (["-f"], "", True), (["--force"], "n\n", True)):
            with open(self.path, "w", encoding="ascii") as file:
                file.write("t")
            self.assertEqual(self.sign_out(*words, answer=answer)[0], 0)
            self.assertEqual(os.path.exists(self.path), not gone, (words, answer))
            if not gone:
                os.unlink(self.path)
        os.symlink("/nonexistent", self.path)
        self.assertIn("There is no token", self.sign_out("-f")[1])
        os.unlink(self.path)
        os.mkdir(self.path)
        code, _, err = self.sign_out("-f")
        self.assertEqual((code, err.count("\n")), (1, 1))


if __name__ == "__main__":
    CLIENT = os.path.realpath(sys.argv[1])
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
