# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a client reaches a network behind a gateway, first directly, then through a relay."""
import json
import os

from . import net, services
from .bench import iperf
from .checks import WEB4, WEB6, Failed, expect, ping_until, wait_for_path
from .lab import Lab, Options
from .sandbox import LabError

SCENES = [
    ("direct", "IPv4", dict(underlay="v4")),
    ("direct", "IPv6", dict(underlay="v6")),
    ("relayed", "IPv4", dict(underlay="v4", nat_c="symmetric", nat_g="symmetric")),
    ("relayed", "IPv6", dict(underlay="v6", nat_c="symmetric", nat_g="symmetric")),
]
PATHS = {"direct4": "direct, IPv4", "direct6": "direct, IPv6", "relay4": "coturn, IPv4", "relay6": "coturn, IPv6"}


def run(args):
    """Plays all scenes. Returns the exit code."""
    rows = []
    for number, (kind, family, options) in enumerate(SCENES, 1):
        routers = "port-restricted" if kind == "direct" else "symmetric"
        print(f"\n[{number}/{len(SCENES)}] {kind}, {family} between two {routers} NATs", flush=True)
        lab = Lab(Options(**options))
        try:
            with lab.up():
                rows.append([kind, family] + scene(lab, kind, family, args.seconds))
            lab.forget_files()
        except (Failed, LabError) as problem:
            print(f"  FAILED: {problem}\n  read the logs in {lab.folder}: client/client.log, gateway/gateway.log,"
                  " portal/portal.log, relay-1/turnserver.log")
            return 1
    show(rows)
    if args.keep:
        lab = Lab(Options(), os.environ.get("LAB_KEEP_ID", "default")).up(outlives_us=True)
        print(f"""
A laboratory stays up: port-restricted NATs, both address families. Logs: {lab.folder}
  on the client:     tests/lab/lab exec client ping 10.20.0.100
                     tests/lab/lab exec client curl http://10.20.0.100/get
  a shell:           tests/lab/lab shell client        (or gateway, router-c, router-g, portal, relay-1, res)
  what is running:   tests/lab/lab status
  take it down:      tests/lab/lab down""")
    return 0


def scene(lab, kind, family, seconds):
    client = lab.hosts["client"]
    print(f"  up: router-c {lab.options.nat_c}, router-g {lab.options.nat_g}, portal {services.portal_url(lab)}")
    first = ping_until(lab, f"{net.RES4}{net.WEB}")
    print(f"  first answer from 10.20.0.100 after {first * 1000:.0f} ms")
    wanted = ("direct" if kind == "direct" else "relay") + family[-1]
    took = wait_for_path(lab, wanted)
    print(f"  path in use (bytes seen at the client's router): {PATHS[wanted]}"
          + (f", found after {first + took:.1f} s" if kind == "direct" else ""))
    pings = []
    for address in (f"{net.RES4}{net.WEB}", f"{net.RES6}{net.WEB}"):
        out = client.run(["ping", "-n", "-q", "-c", "20", "-i", "0.05", address]).stdout
        pings.append(float(out.rpartition("= ")[2].split("/")[1]))
        print(f"  ping {address}: {pings[-1]:.2f} ms")
    for url in (WEB4 + "/get", WEB6 + "/get"):
        done = client.run(["curl", "-sS", "--max-time", "10", url], check=False)
        expect(done.returncode == 0, f"GET {url}: {done.stderr.strip()}")
        print(f"  GET {url}: {json.dumps(json.loads(done.stdout))}")
    rates = []
    for address in (f"{net.RES4}{net.IPERF}", f"{net.RES6}{net.IPERF}"):
        rates.append(iperf(client, seconds, server=address)[0] / 1e6)
        print(f"  iperf3 to {address}: {rates[-1]:.0f} Mbit/s", flush=True)
    return [PATHS[wanted], first * 1000] + pings + rates


def show(rows):
    print("""
NATs of both sides       outside  path          first    ping     ping     iperf3   iperf3
                                                answer   IPv4     IPv6     IPv4     IPv6
                                                ms       ms       ms       Mbit/s   Mbit/s""")
    for kind, family, path, first, ping4, ping6, rate4, rate6 in rows:
        nats = "port-restricted cone" if kind == "direct" else "symmetric"
        print(f"{nats:24} {family:8} {path:13} {first:<8.0f} {ping4:<8.2f} {ping6:<8.2f} {rate4:<8.0f} {rate6:<8.0f}")
