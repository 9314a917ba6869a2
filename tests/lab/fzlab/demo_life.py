# SPDX-License-Identifier: Apache-2.0
"""The demonstration's last scene: two clients of one gateway, and what a day brings them."""
import json
import time

from . import net, services
from .checks import expect
from .flows import wait_for_flows
from .host_scenarios import move
from .lab import Options
from .load import Load, watch
from .operate import ask

NAME, RESOURCE = "download.httpbin", "httpbin"
URL = f"http://{NAME}"
OPTIONS = Options(dns="etc-resolv-conf", client2="ours", flows=True, remembers=True)
CLIENT2 = "100.64.0.2", "fd00:2021:1111::2"
MOVE_LIMIT, REVOKE_LIMIT = 2, 1  # seconds


def scene(lab, say):
    """Returns rows of (what, result) for the table."""
    return [row for act in (names, moves, shows_itself, outage, revocation, flow_logs) for row in act(lab, say)]


def pages(lab, host="client"):
    """Fetches the page by its name over each family. Returns the addresses that answered."""
    found = []
    for family in ("-4", "-6"):
        done = lab.hosts[host].run(["curl", "-sS", family, "--max-time", "20", "-w", "%{remote_ip}", URL + "/get"],
                                   check=False)
        expect(done.returncode == 0, f"GET {URL}/get with curl {family} on {host}: {done.stderr.strip()}")
        page, _, address = done.stdout.rpartition("\n")
        expect(json.loads(page)["host"] == NAME, f"the page is another one: {page}")
        found.append(address)
    return found


def names(lab, say):
    lines = lab.hosts["client"].run(["cat", "/etc/resolv.conf"]).stdout.splitlines()
    say("by name; the client wrote resolv.conf: " + ", ".join(line for line in lines if line and line[0] != "#"))
    addresses = pages(lab)
    say(f"  GET {URL}/get answered at {' and '.join(addresses)}, which stand for {net.RES4}{net.WEB} and"
        f" {net.RES6}{net.WEB}")
    return [("page by name, IPv4 and IPv6", f"{NAME} at {' and '.join(addresses)}")]


def addresses(lab):
    rows = lab.hosts["client"].run("ip -o addr show dev eth0 scope global").stdout.splitlines()
    return " and ".join(row.split()[3].partition("/")[0] for row in rows)


def moves(lab, say):
    load = Load(lab, "client", URL, 6_000_000, 1_500_000)
    watch([load], 10, lambda: load.got > 2_000_000)
    old = addresses(lab)
    at = time.monotonic()
    move(lab, "200")
    say(f"another network during a download: {old} become {addresses(lab)}, and nobody tells the client")
    load.finish()
    gap = load.longest_pause(at)
    say(f"  all {load.size / 1e6:.0f} MB arrived; the longest pause was {gap:.2f} s")
    expect(gap <= MOVE_LIMIT, f"a pause of {gap:.2f} s, allowed are {MOVE_LIMIT} s")
    return [("another network during a download", f"complete, paused for {gap:.2f} s")]


def shows_itself(lab, say):
    say("what fz-client status says now:")
    for line in ask(lab, "client", "status").stdout.rstrip().splitlines():
        say("  | " + line)
    return []


def outage(lab, say):
    load = Load(lab, "client", URL, 6_000_000, 1_200_000)
    watch([load], 10, lambda: load.got > 1_000_000)
    at = time.monotonic()
    lab.stop("portal/portal")
    say("the portal stops during a download")
    pages(lab)
    watch([load], 2)
    had = load.got
    services.portal(lab)
    back = time.monotonic()
    say(f"  pages by name still come, {had / 1e6:.1f} MB of the download are there; after {back - at:.1f} s the portal"
        " starts again")
    for name in ("gateway", "client"):
        while services.portal_ctl(lab, "wait", name, "timeout=1", check=False).returncode != 0:
            watch([load], 0.1)
            expect(time.monotonic() - back < 60, f"{name} did not come back to the portal within 60 s")
        say(f"  {name} is back at the portal after {time.monotonic() - back:.1f} s")
    load.finish()
    say(f"  all {load.size / 1e6:.0f} MB of the download arrived")
    pages(lab)
    return [(f"portal away for {back - at:.1f} s during a download", "complete, and pages by name meanwhile")]


def revocation(lab, say):
    loads = loses, keeps = [Load(lab, host, URL, 8_000_000, 1_600_000) for host in ("client", "client2")]
    watch(loads, 10, lambda: min(load.got for load in loads) > 1_600_000)
    at = time.monotonic()
    services.portal_ctl(lab, "update-resource", RESOURCE, 'clients=["client2"]')
    services.portal_ctl(lab, "revoke", "client", RESOURCE)
    say(f"client and client2 download; the portal takes '{RESOURCE}' from client alone")
    watch(loads, 30, lambda: keeps.ended)
    after = max(loses.arrivals[-1] - at, 0)
    say(f"  client: {loses.got / 1e6:.1f} of {loses.size / 1e6:.0f} MB, nothing later than {after:.2f} s after the"
        " portal was told")
    expect(loses.got < loses.size, "client's download is complete")
    expect(after <= REVOKE_LIMIT, f"packets passed for {after:.2f} s, allowed is {REVOKE_LIMIT} s")
    loses.stop()
    keeps.finish()
    gap = keeps.longest_pause(at)
    say(f"  client2: all {keeps.size / 1e6:.0f} MB arrived; the longest pause was {gap:.2f} s")
    done = lab.hosts["client"].run(["curl", "-sS", "--max-time", "5", f"http://{NAME}./get"], check=False)
    expect(done.returncode != 0, "client still fetches the page")
    say(f"  client asks for the page again: {done.stderr.strip()}")
    return [("access ends during a download", f"nothing passed later than {after:.2f} s after"),
            ("  of another client, at the same time", f"complete, paused for {gap:.2f} s at most")]


def flow_logs(lab, say):
    """The portal heard of the download that moved, with both of its ways, and of the other client's."""
    say("flow logs that the gateway brought to the portal:")
    give_up = time.monotonic() + 20
    while True:
        known = wait_for_flows(lab)
        moved = [flow for flow in known if flow["rx_bytes"] >= 6_000_000 and len(flow["outers"]) > 1]
        others = [flow for flow in known if flow["rx_bytes"] >= 8_000_000 and flow["inner_src_ip"] in CLIENT2]
        if moved and others:
            break
        expect(time.monotonic() < give_up, f"the downloads are not among {len(known)} flows at the portal")
        time.sleep(0.2)
    for flow in moved[0], others[0]:
        say(f"  {flow['protocol']} {flow['inner_src_ip']} to {flow['domain']} ({flow['inner_dst_ip']}:{flow['inner_dst_port']}):"
            f" {flow['rx_bytes']} bytes received, ways: {len(flow['outers'])}")
    return [("flow logs at the portal", f"{len(known)} flows, both downloads among them")]
