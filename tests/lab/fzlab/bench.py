# SPDX-License-Identifier: Apache-2.0
"""Speed and size, as ratios of one run on one machine: raw veth, wireguard-go, ours, and upstream's with PEER_DIR.

All rows pass the same two routers, and end at the same iperf3 in the network behind the gateway.
"""
import json
import os
import shutil
import subprocess
import tempfile
import time

from . import net, services
from .checks import Failed, expect, ping_until, wait_for_path
from .lab import Lab, Options
from .sandbox import LabError
from .scenarios import missing_program

SERVER = f"{net.RES4}{net.IPERF}"
MTU = 1280  # of Firezone's tunnel interface, so of wireguard-go's here
GIGABYTE = 1e9

# name -> options of the laboratory; None: no programs of ours in it
ROWS = {
    "raw": None,
    "wireguard-go": None,
    "ours": dict(client="ours", gateway="ours", relay="coturn"),
    "ours-relayed": dict(client="ours", gateway="ours", relay="coturn", nat_c="symmetric", nat_g="symmetric"),
    "ours-their-relay": dict(client="ours", gateway="ours", relay="theirs", nat_c="symmetric", nat_g="symmetric"),
    "theirs": dict(client="theirs", gateway="theirs", relay="theirs"),
    "theirs-relayed": dict(client="theirs", gateway="theirs", relay="theirs", nat_c="symmetric", nat_g="symmetric"),
}


def run(args, report):
    unknown = [row for row in args.rows if row not in ROWS]
    if unknown:
        raise LabError(f"no such row: {' '.join(unknown)}; there are: {' '.join(ROWS)}")
    results = {}
    for name, options in ROWS.items():
        # Raw veth is what the others are compared to.
        if args.rows and name not in args.rows and name != "raw":
            continue
        missing = missing_program(Options(**options)) if options else None
        if name == "wireguard-go" and not (shutil.which("wireguard-go") and shutil.which("wg")):
            missing = "wireguard-go"
        if missing:
            report.skip(name, f"{missing} is not there")
            continue
        try:
            results[name] = one_row(name, options, args.seconds)
        except (Failed, LabError) as problem:
            report.fail(name, str(problem))
            continue
        report.ok(name, summary(results[name]))
    show(results)


def one_row(name, options, seconds):
    lab = Lab(Options(**options) if options else Options())
    with lab.up(programs=options is not None):
        if name == "raw":
            net.raw_path(lab.hosts, True)
            programs = []
        elif name == "wireguard-go":
            programs = wireguard_go(lab)
        else:
            programs = [lab.processes["client/client"], lab.processes["gateway/gateway"]]
        ping_until(lab, SERVER)
        if options:
            wait_for_path(lab, "relay" if options.get("nat_c") else "direct")
        net.stop_counting(lab.hosts)
        result = measure(lab, programs, seconds)
        result["sizes"] = sizes(name, options)
    lab.forget_files()
    return result


def measure(lab, programs, seconds):
    client = lab.hosts["client"]
    result = {}
    before = sum(program.cpu_seconds() for program in programs)
    up, bytes_up = iperf(client, seconds)
    down, bytes_down = iperf(client, seconds, "--reverse")
    spent = sum(program.cpu_seconds() for program in programs) - before
    result["up"], result["down"] = up / 1e6, down / 1e6
    result["cpu_per_gb"] = spent / ((bytes_up + bytes_down) / GIGABYTE) if programs else None
    result["udp64"] = small_packets(client, seconds)
    out = client.run(["ping", "-n", "-q", "-c", "200", "-i", "0.01", SERVER]).stdout
    result["ping_ms"] = float(out.rpartition("= ")[2].split("/")[1])
    result["rss_mib"] = [program.rss_kib() / 1024 for program in programs]
    for program in programs:
        expect(program.alive(), f"a program ended under load; read {program.log}")
    return result


def run_iperf(client, server, seconds, *options):
    """The end part of iperf3's report."""
    for attempt in range(3):
        done = client.run(["iperf3", "--json", "--client", server, "--time", str(seconds), *options], check=False,
                          timeout=seconds + 30)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            break
        # Between two tests the server closes its socket for a moment, and with it whoever waits there.
        if report.get("error") and not report.get("start", {}).get("connected"):
            time.sleep(1)
            continue
        if report.get("error"):
            break
        return report["end"]
    raise LabError(f"iperf3: {done.stdout.strip()[-300:]} {done.stderr.strip()}")


def iperf(client, seconds, *options, server=SERVER):
    """One TCP flow. Returns bits per second at the receiver, and bytes received."""
    end = run_iperf(client, server, seconds, *options)["sum_received"]
    return end["bits_per_second"], end["bytes"]


def small_packets(client, seconds):
    """UDP packets of 64 bytes that arrive in a second, of more than the sender can produce."""
    end = run_iperf(client, SERVER, seconds, "--udp", "--length", "64", "--bitrate", "100M")["sum"]
    return (end["packets"] - end["lost_packets"]) / end["seconds"]


def wireguard_go(lab):
    """A tunnel of wireguard-go between client and gateway, both behind their port-restricted NATs."""
    ends = {"client": ("router-g", "100.64.0.1", "fd00:2021:1111::1"),
            "gateway": ("router-c", "100.64.0.20", "fd00:2021:1111::20")}
    keys, processes = {}, []
    for name in ends:
        private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
        public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
        keys[name] = (private, public.strip())
    for name, (router, own4, own6) in ends.items():
        host = lab.hosts[name]
        processes.append(lab.start(name, "wireguard-go", ["wireguard-go", "--foreground", "wg0"],
                                   env={"LOG_LEVEL": "error"}, ready=lambda host=host: host.has_interface("wg0")))
        # The socket that wg talks through is in the host's private /run and appears a little later than the interface.
        other = keys["gateway" if name == "client" else "client"][1]
        host.run(["sh", "-ec", "until test -S /var/run/wireguard/wg0.sock; do sleep 0.05; done;"
                  f" wg set wg0 listen-port 51820 private-key /dev/stdin peer {other} persistent-keepalive 1"
                  f" endpoint {net.public4(router)}:51820 allowed-ips 0.0.0.0/0,::/0;"
                  f" ip addr add {own4}/32 dev wg0; ip addr add {own6}/128 dev wg0; ip link set wg0 mtu {MTU} up"],
                 keys[name][0])
        for target in ((f"{net.RES4}0/16", f"{net.RES6}/64") if name == "client"
                       else (net.TUNNEL4, net.TUNNEL6)):
            host.run(["ip", "route", "add", target, "dev", "wg0"])
    return processes


def one_file(kind, whose):
    """The program with our library inside, if that was built; it is the one whose size tells something."""
    whole = os.path.join(services.build_folder(), "tests", "programs", f"fz-{kind}-whole")
    return whole if whose == "ours" and os.path.isfile(whole) else services.program(kind, whose)


def sizes(name, options):
    """Sizes of the stripped programs in MiB."""
    if name == "wireguard-go":
        paths = [shutil.which("wireguard-go")]
    elif options:
        paths = [one_file(kind, options[kind]) for kind in ("client", "gateway")]
    else:
        return []
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            copy = os.path.join(folder, "stripped")
            subprocess.run(["strip", "-o", copy, os.path.realpath(path)], check=True)
            found.append(os.path.getsize(copy) / 2**20)
    return found


def summary(result):
    return (f"TCP {result['up']:.0f} up, {result['down']:.0f} down Mbit/s; {result['udp64']:.0f} small packets/s;"
            f" ping {result['ping_ms']:.2f} ms")


def show(results):
    def joined(values, digits=1):
        return " / ".join(f"{value:.{digits}f}" for value in values) or "-"

    raw = results.get("raw")
    print(f"\n{'':17} {'TCP up':>14} {'TCP down':>14} {'64-byte UDP':>15} {'ping':>6} {'CPU':>6} {'RSS':>14} {'size':>12}")
    print(f"{'':17} {'Mbit/s   raw':>14} {'Mbit/s   raw':>14} {'packets/s  raw':>15} {'ms':>6} {'s/GB':>6}"
          f" {'MiB cl / gw':>14} {'MiB cl / gw':>12}")
    for name, row in results.items():
        cells = []
        for key in ("up", "down", "udp64"):
            ratio = f"{row[key] / raw[key]:6.3f}" if raw else "     -"
            cells.append(f"{row[key]:8.0f} {ratio}".rjust(15 if key == "udp64" else 14))
        cpu = "-" if row["cpu_per_gb"] is None else f"{row['cpu_per_gb']:.2f}"
        print(f"{name:17} {' '.join(cells)} {row['ping_ms']:6.2f} {cpu:>6} {joined(row['rss_mib']):>14}"
              f" {joined(row['sizes'], 2):>12}")
    print()
