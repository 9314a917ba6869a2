# SPDX-License-Identifier: Apache-2.0
"""Namespaces and processes.

One laboratory is one PID namespace. Its first process does nothing but collect orphans; when it ends, the kernel ends
everything inside, and the network and mount namespaces, which nothing else holds, vanish with it. So there is nothing
to clean up after a crash: no named namespace, no link, no mount of the machine itself is ever made.
"""
import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something that the user should read, without a traceback."""


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _checked(_libc.unshare(flags), "unshare")


def setns(fd, kind):
    _checked(_libc.setns(fd, kind), "setns")


def mount(source, target, kind, flags=0, options=None):
    as_bytes = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _checked(_libc.mount(as_bytes[0], as_bytes[1], as_bytes[2], flags, as_bytes[3]), f"mount {kind} on {target}")


def start_time(pid):
    """Start time of a process in ticks: with the pid it names the process for good. None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def become_root(lab_pid=None, outlives_us=False):
    """Without root, continues as root of a user namespace: a new one, or that of the laboratory with this process.

    A namespace for processes comes with a new one, for we may not go back to one that others own. It ends with us, so
    it is of no use for a laboratory that outlives us.
    """
    if os.geteuid() == 0:
        return
    if os.environ.get("FZ_LAB_IN_USERNS"):
        raise LabError("neither root nor a user namespace is to be had")
    os.environ["FZ_LAB_IN_USERNS"] = "1"
    if lab_pid is not None:
        command = ["nsenter", "-t", str(lab_pid), "-U", "--preserve-credentials"]
    elif outlives_us:
        command = ["unshare", "-U", "--map-root-user"]
    else:
        command = ["unshare", "-U", "--map-root-user", "-m", "-p", "--fork", "--kill-child", "--mount-proc"]
    os.execvp(command[0], command + ["--", sys.executable] + sys.argv)


def impossible():
    """Why a laboratory cannot run on this machine, or None."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
        except OSError as problem:
            code = problem.errno or 255
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        return f"network namespaces are not available here ({os.strerror(code)})"
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is missing"
    return None


class Sandbox:
    """The PID namespace and the network namespace of the switch."""

    def __init__(self, init_pid, switch_to=True):
        self.init_pid = init_pid
        self._own_pid_ns = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._life = None
        if switch_to:
            self.enter()

    @classmethod
    def create(cls, outlives_us):
        life_read, life_write = os.pipe()
        pid_read, pid_write = os.pipe()
        middle = os.fork()
        if middle == 0:
            try:
                _be_first_process(life_read, None if outlives_us else life_write, pid_write)
            finally:
                os._exit(70)
        os.waitpid(middle, 0)
        os.close(pid_write)
        os.close(life_read)
        told = os.read(pid_read, 32)
        os.close(pid_read)
        if not told:
            raise LabError("the first process of the laboratory did not start")
        box = cls(int(told))
        box._life = life_write
        return box

    def enter(self):
        """From now on our children are born inside. (No threads may be started after this.)"""
        fd = os.open(f"/proc/{self.init_pid}/ns/pid", os.O_RDONLY)
        setns(fd, CLONE_NEWPID)
        os.close(fd)

    def destroy(self):
        try:
            os.kill(self.init_pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            setns(self._own_pid_ns, CLONE_NEWPID)
        except PermissionError:
            pass  # in a user namespace, which one command shares with no second laboratory
        if self._life is not None:
            os.close(self._life)
            self._life = None
        os.close(self._own_pid_ns)
        # The kernel lets the first process go when all others are collected, and some of them are our children.
        give_up = time.monotonic() + 5
        while start_time(self.init_pid) is not None and time.monotonic() < give_up:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.005)
        _unreaped.clear()


def _be_first_process(life_read, life_write, pid_write):
    os.setsid()
    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    first = os.fork()
    if first:
        os.write(pid_write, b"%d" % first)
        os._exit(0)
    os.close(pid_write)
    if life_write is not None:
        os.close(life_write)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    try:
        mount("proc", "/proc", "proc")
    except OSError:
        pass  # in some containers; then tools inside see the machine's processes
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if life_write is None:
            time.sleep(1)
        elif select.select([life_read], [], [], 1)[0]:
            os._exit(0)  # whoever made the laboratory is gone


class Host:
    """One machine of the laboratory: network, host name, and private layers over /etc, /var/lib and /run."""

    def __init__(self, name, pid, folder):
        self.name, self.pid, self.folder = name, pid, folder

    @classmethod
    def create(cls, box, name, folder):
        os.makedirs(folder, exist_ok=True)
        mounts = os.open(f"/proc/{box.init_pid}/ns/mnt", os.O_RDONLY)

        def become_host():
            try:
                os.setsid()
                setns(mounts, CLONE_NEWNS)
                unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS)
                _set_hostname(name)
                _private_folders(folder)
            except OSError as problem:
                os.write(2, f"host {name}: {problem}\n".encode())
                os._exit(70)

        # Its complaints go to a file: an open pipe would keep whoever reads our output waiting.
        with open(os.path.join(folder, "keeper.log"), "wb") as log:
            keeper = subprocess.Popen(["sleep", "infinity"], preexec_fn=become_host, stdin=subprocess.DEVNULL,
                                      stdout=log, stderr=log)
        os.close(mounts)
        _unreaped.append(keeper)
        return cls(name, keeper.pid, folder)

    def _entry(self, network_only):
        fds = [(os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY), CLONE_NEWNET)]
        if not network_only:
            fds.append((os.open(f"/proc/{self.pid}/ns/uts", os.O_RDONLY), CLONE_NEWUTS))
            fds.append((os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY), CLONE_NEWNS))
        return fds

    def popen(self, argv, network_only=False, new_session=True, **options):
        fds = self._entry(network_only)

        def enter():
            for fd, kind in fds:
                setns(fd, kind)
            if new_session:
                os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        try:
            return subprocess.Popen(argv, preexec_fn=enter, **options)
        except FileNotFoundError as missing:
            raise LabError(f"program not found: {missing.filename}") from missing
        finally:
            for fd, _ in fds:
                os.close(fd)

    def run(self, argv, text=None, timeout=60, check=True, network_only=False, env=None):
        """Runs to the end. Returns an object with returncode, stdout and stderr (both joined with check)."""
        if isinstance(argv, str):
            argv = argv.split()
        child = self.popen(argv, network_only=network_only, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, env=env)
        try:
            out, err = child.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            err += f"(ended after {timeout} s)"
        if check and child.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(argv)}: exit {child.returncode}: {(err or out).strip()}")
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def read_proc(self, path):
        """A file of /proc/net as this host sees it."""
        with open(f"/proc/{self.pid}/net/{path}", encoding="ascii", errors="replace") as file:
            return file.read()

    def has_interface(self, name):
        return any(line.strip().startswith(name + ":") for line in self.read_proc("dev").splitlines())

    def listens(self, kind, port):
        """Whether a socket of that kind ("udp", "tcp", "udp6", "tcp6") has the local port."""
        end = f":{port:04X}"
        rows = [line.split() for line in self.read_proc(kind).splitlines()[1:]]
        return any(row[1].endswith(end) and (kind.startswith("udp") or row[3] == "0A") for row in rows)


_unreaped = []  # keepers: kept referenced so that Popen objects are not collected as "still running"


def _set_hostname(name):
    raw = name.encode()
    _checked(_libc.sethostname(raw, len(raw)), "sethostname")


def _private_folders(folder):
    layers = os.path.join(folder, "layers")
    os.makedirs(layers, exist_ok=True)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", layers, "tmpfs")
    try:
        mount("sysfs", "/sys", "sysfs")
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.EBUSY):
            raise
    for target in ("/etc", "/var/lib", "/run"):
        upper, work = (os.path.join(layers, target.replace("/", "_") + end) for end in (".upper", ".work"))
        os.makedirs(upper)
        os.makedirs(work)
        options = f"lowerdir={target},upperdir={upper},workdir={work}"
        for more in ("", ",userxattr"):  # the second inside a user namespace
            try:
                mount("overlay", target, "overlay", 0, options + more)
                break
            except OSError:
                continue
        else:
            _private_copy(target, upper)


def _private_copy(target, copy):
    """Where a folder with mounts in it may not be a layer: a copy of /etc, an empty folder for the others."""
    if target == "/etc":
        subprocess.run(["cp", "-a", "/etc/.", copy], check=False, stderr=subprocess.DEVNULL)
    mount(copy, target, None, MS_BIND)
