# SPDX-License-Identifier: Apache-2.0
"""A network, mounts and folders of our own, so that programs can be started on a machine that they do not touch."""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))
sys.path.insert(0, os.path.join(HERE, "..", "devportal"))
from fzlab import sandbox  # noqa: E402

MS_BIND = 0x1000
TUNNEL = "tun-firezone"
CLIENT_ID_FILE = "/var/lib/dev.firezone.client/config/firezone-id.json"
GATEWAY_ID_FILE = "/var/lib/firezone/gateway_id"
TOKEN_FILE = "/etc/dev.firezone.client/token"
MACHINE_ID = "0123456789abcdef0123456789abcdef\n"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def enter():
    """Into namespaces of our own: empty network with a loopback, /etc and /var/lib that forget, no limits to raise."""
    if os.geteuid() != 0:
        skip("root is needed to start the programs in a network of their own")
    if not os.path.exists("/dev/net/tun"):
        skip("/dev/net/tun is missing")
    try:
        sandbox.unshare(sandbox.CLONE_NEWNS | sandbox.CLONE_NEWNET)
        sandbox.mount("none", "/", None, sandbox.MS_REC | sandbox.MS_PRIVATE)
        folder = tempfile.mkdtemp(prefix="fz-programs-")
        sandbox.mount("tmpfs", folder, "tmpfs")
        for name in ("upper", "work"):
            os.mkdir(f"{folder}/{name}")
        sandbox.mount("overlay", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={folder}/upper,workdir={folder}/work")
        sandbox.mount("tmpfs", "/var/lib", "tmpfs")
        sandbox.mount("tmpfs", "/run", "tmpfs")
    except OSError as problem:
        skip(f"no namespaces of our own: {problem}")
    with open("/etc/machine-id", "w", encoding="ascii") as file:
        file.write(MACHINE_ID)
    with open("/etc/os-release", "w", encoding="ascii") as file:
        file.write('NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n')
    for name, value in (("rmem_max", "212992"), ("wmem_max", "4194304")):
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(value + "\n")
        sandbox.mount(f"{folder}/{name}", f"/proc/sys/net/core/{name}", None, MS_BIND)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # loopback up
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))
    return folder


def within_reach(folder, *programs):
    """Copies that every user may run: the tree can lie where only its owner may look."""
    place = f"{folder}/reach"
    os.mkdir(place)
    os.chmod(place, 0o755)
    for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") + [f"{os.path.dirname(programs[0])}/../../lib"]:
        library = f"{path}/libfzconn.so.0"
        if path and os.path.exists(library):
            shutil.copy(library, place)  # as a file, not as a link
            break
    os.environ["LD_LIBRARY_PATH"] = f"{place}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return [shutil.copy(program, place) for program in programs]


def program_env(env=None):
    clean = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    # sanitizers and coverage keep their settings
    clean.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "LD_LIBRARY_PATH"})
    # the programs forbid to be traced, which is how the leak detector looks at them
    clean["ASAN_OPTIONS"] = clean.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    clean.update(env or {})
    return clean


def run(argv, env=None, timeout=20, before=(), **options):
    """A program to its end: exit status, standard output, standard error."""
    done = subprocess.run([*before, *argv], env=program_env(env), capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False, **options)
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8",
                                                                                                 "backslashreplace")


def until(condition, what, limit=30):
    give_up = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < give_up, f"not within {limit} s: {what}"
        time.sleep(0.02)


class Program:
    """A program in the background; what it writes goes to files."""

    def __init__(self, argv, env=None, **options):
        self.dir = tempfile.mkdtemp(prefix="fz-program-")
        with open(f"{self.dir}/out", "wb") as out, open(f"{self.dir}/err", "wb") as err:
            self.process = subprocess.Popen(argv, env=program_env(env), stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, **options)
        self.pid = self.process.pid

    def _text(self, name):
        with open(f"{self.dir}/{name}", encoding="utf-8", errors="backslashreplace") as file:
            return file.read()

    @property
    def out(self):
        return self._text("out")

    @property
    def err(self):
        return self._text("err")

    def says(self, text, times=1):
        assert self.process.poll() is None, f"it has ended: {self.out}{self.err}"
        return self.out.count(text) >= times

    def wait_for(self, text, limit=30, times=1):
        until(lambda: self.says(text, times), f"{text!r} {times} times in {self.out}{self.err}", limit)

    def status(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith(name + ":"))

    def kill(self, number):
        os.kill(self.pid, number)

    def end(self, number=signal.SIGTERM, limit=30):
        """Sends a signal and gives the exit status."""
        if number and self.process.poll() is None:
            self.kill(number)
        return self.process.wait(limit)

    def close(self):
        """Killed only when it does not end by itself: what it leaves behind would fail the next test, too."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for name in ("out", "err"):
            os.unlink(f"{self.dir}/{name}")
        os.rmdir(self.dir)
