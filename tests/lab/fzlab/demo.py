# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a client reaches a network behind a gateway by all ways, and what then may happen to it."""
import os
import time
import traceback

from . import demo_life, net, services
from .bench import iperf
from .checks import WEB4, WEB6, Failed, expect, get, ping_until, says_mode, wait_for_path
from .lab import Lab, Options
from .sandbox import LabError

WAYS = [  # how, NATs of both sides, family outside, options of the laboratory
    ("direct", "port-restricted cone", "IPv4", dict(underlay="v4")),
    ("direct", "port-restricted cone", "IPv6", dict(underlay="v6")),
    ("direct, no ICE", "port-restricted cone", "IPv4", dict(underlay="v4", iceless=True)),
    ("through coturn", "symmetric", "IPv4", dict(underlay="v4", nat_c="symmetric", nat_g="symmetric")),
    ("through coturn", "symmetric", "IPv6", dict(underlay="v6", nat_c="symmetric", nat_g="symmetric")),
]
LOGS = "client/client.log, client2/client2.log, gateway/gateway.log, portal/portal.log, relay-1/turnserver.log"


def run(args):
    """Plays all scenes. Returns the exit code."""
    started = time.monotonic()
    rows = []
    last = len(WAYS) + 1
    for number, way in enumerate(WAYS, 1):
        how, nats, family, options = way
        say(f"\n[{number}/{last}] {how}, {family} between two {nats} NATs")
        row = play(Options(**options), lambda lab: one_way(lab, way, args.seconds))
        if row is None:
            return 1
        rows.append(row)
    say(f"\n[{last}/{last}] names, and what happens to people: a network that changes, a portal that is down, access that ends")
    facts = play(demo_life.OPTIONS, lambda lab: demo_life.scene(lab, lambda words: say("  " + words)))
    if facts is None:
        return 1
    show(rows, facts)
    say(f"\nAll of it worked. {time.monotonic() - started:.0f} s without the build.")
    if args.keep:
        keep()
    return 0


def say(words):
    print(words, flush=True)


def play(options, scene):
    """What the scene returns, from a laboratory of its own; None after a failure, which is told."""
    lab = Lab(options)
    try:
        with lab.up():
            result = scene(lab)
    except Exception as problem:
        if not isinstance(problem, (Failed, LabError)):
            traceback.print_exc()
        say(f"  FAILED: {problem}\n  The logs are in {lab.folder}: {LOGS}")
        return None
    lab.forget_files()
    return result


def one_way(lab, way, seconds):
    how, nats, family, _ = way
    client = lab.hosts["client"]
    first = ping_until(lab, f"{net.RES4}{net.WEB}")
    say(f"  first answer from {net.RES4}{net.WEB} after {first * 1000:.0f} ms")
    wanted = ("direct" if how.startswith("direct") else "relay") + family[-1]
    took = wait_for_path(lab, wanted)
    say(f"  path by the bytes at the client's router: {how}, {family}"
        + (f", found after {first + took:.1f} s" if wanted.startswith("direct") else ""))
    if lab.options.iceless:
        says_mode(lab, "client", "without")
    pings, rates = [], []
    for address in (f"{net.RES4}{net.WEB}", f"{net.RES6}{net.WEB}"):
        out = client.run(["ping", "-n", "-q", "-c", "20", "-i", "0.05", address]).stdout
        pings.append(float(out.rpartition("= ")[2].split("/")[1]))
    for url in (WEB4, WEB6):
        get(lab, url + "/get")
    for address in (f"{net.RES4}{net.IPERF}", f"{net.RES6}{net.IPERF}"):
        rates.append(iperf(client, seconds, server=address)[0] / 1e6)
    say(f"  IPv4, IPv6 in the tunnel: pages fetched; ping {pings[0]:.2f}, {pings[1]:.2f} ms;"
        f" iperf3 {rates[0]:.0f}, {rates[1]:.0f} Mbit/s")
    return [how, nats, family, first * 1000] + pings + rates


def show(rows, facts):
    say("""
Path            NATs of both sides    outside  first   ping    ping    iperf3  iperf3
                                               answer  IPv4    IPv6    IPv4    IPv6
                                               ms      ms      ms      Mbit/s  Mbit/s""")
    for how, nats, family, first, ping4, ping6, rate4, rate6 in rows:
        say(f"{how:15} {nats:21} {family:8} {first:<7.0f} {ping4:<7.2f} {ping6:<7.2f} {rate4:<7.0f} {rate6:<.0f}")
    say("")
    for what, result in facts:
        say(f"{what:46} {result}")


def keep():
    lab = Lab(Options(dns="etc-resolv-conf"), os.environ.get("LAB_KEEP_ID", "default")).up(outlives_us=True)
    say(f"""
A laboratory stays up: port-restricted NATs, both address families. Logs: {lab.folder}
  on the client:     tests/lab/lab exec client ping 10.20.0.100
                     tests/lab/lab exec client curl http://download.httpbin/get
                     tests/lab/lab exec client {os.path.abspath(services.program('client', 'ours'))} status
  a shell:           tests/lab/lab shell client        (or gateway, router-c, router-g, portal, relay-1, res)
  what is running:   tests/lab/lab status
  take it down:      tests/lab/lab down""")
