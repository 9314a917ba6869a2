# SPDX-License-Identifier: Apache-2.0
"""One laboratory: its options, its hosts and processes, and the file by which later commands find it again."""
import dataclasses
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time

from . import nat, net, services
from .sandbox import Host, LabError, Sandbox, start_time


@dataclasses.dataclass
class Options:
    nat_c: str = "eim"
    nat_c2: str = "eim"
    nat_g: str = "eim"
    v6: str = "same"        # kind of the routers for IPv6: "same" as for IPv4, or one of nat.KINDS
    underlay: str = "both"  # addresses that clients and gateway have: both, v4, v6
    relay: str = "coturn"   # coturn, theirs, mixed (ours use coturn, upstream's use theirs), none
    relays: int = 1
    client: str = "ours"
    client2: str = "none"
    gateway: str = "ours"
    gateway_v6: bool = True
    iceless: bool = False   # the portal lets connections do without ICE
    loss: float = 0.0       # percent of what the client sends
    dns: str = "disabled"
    log: str = "info"
    flows: bool = False     # the portal wants flow logs, and soon
    remembers: bool = False  # the portal remembers grants over a restart

    def validate(self):
        for kind in (self.nat_c, self.nat_c2, self.nat_g):
            if kind not in nat.KINDS:
                raise LabError(f"unknown kind of NAT '{kind}'; there are: {', '.join(nat.KINDS)}")
        if self.v6 != "same" and self.v6 not in nat.KINDS:
            raise LabError(f"unknown kind of IPv6 router '{self.v6}'; there are: same, {', '.join(nat.KINDS)}")

    def kinds4(self):
        return {"c": self.nat_c, "c2": self.nat_c2, "g": self.nat_g}

    def kinds6(self):
        return {key: kind if self.v6 == "same" else self.v6 for key, kind in self.kinds4().items()}


@dataclasses.dataclass
class Process:
    pid: int
    started: int
    log: str
    child: object = None

    def alive(self):
        if self.child is not None:
            return self.child.poll() is None
        return start_time(self.pid) == self.started

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


class Lab:
    def __init__(self, options, lab_id=None, say=print):
        self.options, self.say = options, say
        self.id = lab_id or default_id()
        self.folder = run_folder(self.id)
        self.box, self.hosts, self.processes = None, {}, {}

    # --- life ---

    def up(self, outlives_us=False, programs=True):
        """Builds everything and starts the programs. On failure nothing is left behind."""
        self.options.validate()
        destroy_leftover(self.id)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.box = Sandbox.create(outlives_us)
        self.save()
        try:
            self.hosts = net.build(self.box, self.folder, self.options.kinds4(), self.options.kinds6(),
                                   self.options.underlay)
            if not self.options.gateway_v6:
                self.hosts["gateway"].run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"])
            if self.options.loss:
                net.set_loss(self.hosts["router-c"], self.options.loss)
            services.name_servers(self)
            services.resource_servers(self)
            if programs:
                self.start_programs()
            self.save()
        except BaseException:
            self.down()
            raise
        return self

    def start_programs(self):
        services.portal(self)
        services.relays(self)
        if self.options.gateway != "none":
            services.gateway(self)
        for name in ("client", "client2"):
            if getattr(self.options, name) != "none":
                services.client(self, name)

    def down(self):
        if self.box is not None:
            self.box.destroy()
            self.box = None
        _forget(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def forget_files(self):
        """Removes what a laboratory that is down has written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def relay_plan(self):
        """(host, kind, names of the devices that are told of it or None for all) of each relay."""
        if self.options.relay == "none":
            return []
        if self.options.relay == "mixed":
            users = {whose: [name for name in ("client", "client2", "gateway") if getattr(self.options, name) == whose]
                     for whose in ("ours", "theirs")}
            return [("relay-1", "coturn", users["ours"]), ("relay-2", "theirs", users["theirs"])]
        return [(name, self.options.relay, None) for name in ("relay-1", "relay-2")[:self.options.relays]]

    # --- processes ---

    def file(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def start(self, host, name, argv, env=None, network_only=False, ready=None, limit=20):
        """Starts a program in the background, its output in <folder>/<host>/<name>.log; waits until it is ready."""
        path = self.file(f"{host}/{name}.log")
        whole_env = dict(os.environ)
        for word in [word for word in whole_env if word.startswith(("FIREZONE_", "RUST_LOG"))]:
            del whole_env[word]
        whole_env.update(env or {})
        with open(path, "ab") as log:
            child = self.hosts[host].popen(argv, env=whole_env, network_only=network_only, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
        process = Process(child.pid, start_time(child.pid) or 0, path, child)
        self.processes[f"{host}/{name}"] = process
        give_up = time.monotonic() + limit
        while ready is not None and not ready():
            if not process.alive():
                raise LabError(f"{name} on {host} ended with {child.returncode}; read {path}\n{tail(path)}")
            if time.monotonic() > give_up:
                raise LabError(f"{name} on {host} is not ready after {limit} s; read {path}\n{tail(path)}")
            time.sleep(0.02)
        return process

    def stop(self, key, how=signal.SIGTERM, limit=10):
        """Ends a program and waits for it. Returns its exit status, None if that cannot be known."""
        process = self.processes.pop(key)
        if process.alive():
            os.kill(process.pid, how)
        give_up = time.monotonic() + limit
        while process.alive():
            if time.monotonic() > give_up:
                os.kill(process.pid, signal.SIGKILL)
                raise LabError(f"{key} did not end within {limit} s of signal {int(how)}; read {process.log}")
            time.sleep(0.01)
        return process.child.returncode if process.child is not None else None

    def log_text(self, key):
        with open(self.processes[key].log, encoding="utf-8", errors="replace") as file:
            return file.read()

    # --- what the wire saw ---

    def wire_bytes(self, router="router-c"):
        """Bytes of UDP that passed a router, by where the other end is: relay4, relay6, direct4, direct6."""
        return net.read_counters(self.hosts[router])

    # --- finding it again ---

    def save(self):
        state = {
            "init": [self.box.init_pid, start_time(self.box.init_pid)],
            "options": dataclasses.asdict(self.options),
            "hosts": {name: host.pid for name, host in self.hosts.items()},
            "processes": {key: [each.pid, each.started, each.log] for key, each in self.processes.items()},
        }
        with open(os.path.join(self.folder, "state.json"), "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)

    @classmethod
    def find(cls, lab_id=None, say=print):
        lab_id = lab_id or default_id()
        state = _load(run_folder(lab_id))
        if state is None:
            raise LabError(f"no laboratory '{lab_id}' is up (LAB_ID chooses another)")
        lab = cls(Options(**state["options"]), lab_id, say)
        lab.box = Sandbox(state["init"][0])
        lab.hosts = {name: Host(name, pid, f"{lab.folder}/{name}") for name, pid in state["hosts"].items()}
        lab.processes = {key: Process(*each) for key, each in state["processes"].items()}
        return lab


def first_process(lab_id=None):
    """Of the laboratory of this name that is up, or None."""
    state = _load(run_folder(lab_id or default_id()))
    return state["init"][0] if state else None


def use_own_id():
    """For runs that take down what they bring up: a name that no other run has."""
    os.environ.setdefault("LAB_ID", "run-" + secrets.token_hex(3))


def default_id():
    return os.environ.get("LAB_ID") or "default"


def run_folder(lab_id):
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", lab_id):
        raise LabError("LAB_ID may hold letters, digits, '_', '.' and '-'")
    return os.path.join(os.environ.get("LAB_DIR") or "/tmp", f"fz-lab-{lab_id}")


def _load(folder):
    """The saved state, or None if there is none or its first process is gone."""
    try:
        with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError):
        return None
    pid, started = state["init"]
    return state if start_time(pid) == started else None


def destroy_leftover(lab_id):
    """Ends a laboratory of this name that somebody left. Returns whether there was one."""
    folder = run_folder(lab_id)
    state = _load(folder)
    if state is not None:
        Sandbox(state["init"][0], switch_to=False).destroy()
    _forget(folder)
    return state is not None


def _forget(folder):
    try:
        os.unlink(os.path.join(folder, "state.json"))
    except OSError:
        pass


def tail(path, lines=8):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join("    " + line for line in file.readlines()[-lines:]).rstrip()
    except OSError:
        return ""
