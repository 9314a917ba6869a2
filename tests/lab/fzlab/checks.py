# SPDX-License-Identifier: Apache-2.0
"""What scenarios do to a laboratory and assert about it."""
import re
import time

from . import net

WEB4 = f"http://{net.RES4}{net.WEB}"
WEB6 = f"http://[{net.RES6}{net.WEB}]"
ZEROS_SHA256 = "f5e02aa71e67f41d79023a128ca35bad86cf7b6656967bfe0884b3a3c4325eaf"  # of 10,000,000 zero bytes

CONNECT_LIMIT, RETRY_LIMIT = 10, 30


class Failed(Exception):
    """The scenario's assertion does not hold."""


def expect(truth, words):
    if not truth:
        raise Failed(words)


def get(lab, url, host="client"):
    """One HTTP request, which must be answered with 200."""
    done = lab.hosts[host].run(["curl", "-sS", "--connect-timeout", str(CONNECT_LIMIT), "--max-time", "20",
                                "-o", "/dev/null", "-w", "%{http_code}", url], check=False)
    expect(done.stdout == "200", f"GET {url} on {host}: status {done.stdout} {done.stderr.strip()}")


def get_both(lab, host="client"):
    get(lab, WEB4 + "/get", host)
    get(lab, WEB6 + "/get", host)


def download(lab, base=WEB4, slowest=102400, over=10, limit=120):
    """10 MB that arrive complete and unchanged. Returns the seconds it took."""
    started = time.monotonic()
    command = (f"set -o pipefail; curl -sS --connect-timeout {CONNECT_LIMIT} --speed-limit {slowest}"
               f" --speed-time {over} '{base}/bytes?num=10000000&chunk=100' | sha256sum")
    done = lab.hosts["client"].run(["bash", "-c", command], check=False, timeout=limit)
    expect(done.returncode == 0, f"download: {done.stderr.strip()}")
    expect(done.stdout.split()[0] == ZEROS_SHA256, "the downloaded bytes are not those that were sent")
    return time.monotonic() - started


def ping_until(lab, address, host="client", limit=RETRY_LIMIT):
    """Pings until an answer comes. Returns the seconds until then."""
    started = time.monotonic()
    while True:
        if lab.hosts[host].run(["ping", "-n", "-c", "1", "-W", "1", address], check=False).returncode == 0:
            return time.monotonic() - started
        expect(time.monotonic() - started < limit, f"no answer to ping of {address} on {host} within {limit} s")


def path_now(lab, router="router-c"):
    """Which way payload takes: "direct4", "direct6", "relay4" or "relay6", seen from outside the programs."""
    target = f"{net.RES4}{net.WEB}"
    host = next(name for name, row in net.PRIVATE.items() if row[0] == router)
    before = lab.wire_bytes(router)
    lab.hosts[host].run(["ping", "-n", "-q", "-c", "10", "-i", "0.01", "-s", "1000", "-W", "1", target], check=False)
    after = lab.wire_bytes(router)
    grown = {name: after[name] - before[name] for name in after}
    way, most = max(grown.items(), key=lambda item: item[1])
    return way if most > 10000 else "none"


def wait_for_path(lab, wanted, limit=10, router="router-c"):
    """Waits until the path is the wanted one: a kind ("direct", "relay") or a kind and family ("direct6")."""
    started = time.monotonic()
    while True:
        now = path_now(lab, router)
        if now.startswith(wanted):
            return time.monotonic() - started
        expect(time.monotonic() - started < limit, f"the path is {now} after {limit} s, expected {wanted}")
        time.sleep(0.1)


def stays_on_path(lab, wanted, seconds=4, router="router-c"):
    """Asserts that for some seconds no other path is taken."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = path_now(lab, router)
        expect(now.startswith(wanted), f"the path is {now}, expected {wanted}")
        time.sleep(0.5)


def says_mode(lab, name, mode):
    """Asserts that all connections of one of our programs were made with, or without, ICE."""
    if getattr(lab.options, name) != "ours":
        return
    with open(lab.file(f"{name}/{name}.log"), encoding="utf-8", errors="replace") as file:
        modes = set(re.findall(r"new connection (with|without) ICE", file.read()))
    expect(modes == {mode}, f"{name} made connections {' and '.join(sorted(modes)) or 'neither with nor without'} ICE")


# --- conditions that hold after every scenario ------------------------------------------------------------------------

LEVEL = re.compile(r"\b(WARN|ERROR|warn|error)\b")
ALWAYS_ALLOWED = ["os error 5)"]
WITHOUT_IPV6 = ["fd00:2021:1111::/107", "no IPv6 in the tunnel"]


def log_complaints(lab, allowed=()):
    """Lines at WARN or above of gateway and clients."""
    found = []
    allowed = list(allowed) + ALWAYS_ALLOWED + ([] if lab.options.gateway_v6 else WITHOUT_IPV6)
    for name in ("gateway", "client", "client2"):
        if getattr(lab.options, name) == "none":
            continue
        try:
            with open(lab.file(f"{name}/{name}.log"), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            # The level stands in front, before the message: a message may well speak of errors.
            if LEVEL.search(line[:48]) and not any(words in line for words in allowed):
                found.append(f"{name}: {line}")
    return found


def bad_checksums(lab):
    """Packets that some host got with a wrong checksum, as text; empty if none."""
    found = []
    for name, host in lab.hosts.items():
        rows = host.read_proc("snmp").splitlines()
        for head, values in zip(rows[::2], rows[1::2]):
            for key, value in zip(head.split()[1:], values.split()[1:]):
                if key == "InCsumErrors" and value != "0":
                    found.append(f"{name}: {value} {head.split(':')[0]}")
        try:
            rows = host.read_proc("snmp6").splitlines()
        except OSError:
            continue  # without IPv6
        for row in rows:
            key, value = row.split()
            if key.endswith("InCsumErrors") and value != "0":
                found.append(f"{name}: {value} {key}")
    return ", ".join(found)


def after_every_scenario(lab, allowed=()):
    for key, process in lab.processes.items():
        expect(process.alive(), f"{key} is not running any more; read {process.log}")
    complaints = log_complaints(lab, allowed)
    expect(not complaints, "warnings in logs:\n" + "\n".join(complaints[:5]))
    wrong = bad_checksums(lab)
    expect(not wrong, f"packets with a bad checksum: {wrong}")
