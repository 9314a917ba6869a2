# SPDX-License-Identifier: Apache-2.0
"""Flow logs: what the portal hears of downloads, and what it hears though the gateway is killed or its disk is full."""
import json
import os
import signal
import time

from . import net, services
from .checks import WEB4, download, expect, get, ping_until
from .scenarios import Failed, roam, scenario

SPOOL = "/var/lib/firezone/flow_logs"


def heard(lab, role="responder"):
    """All flows that the portal has heard of, open ones too."""
    known = json.loads(services.portal_ctl(lab, "flows", "--json").stdout)
    return [flow for flow in known if flow["role"] == role]


def flows(lab, role="responder"):
    """The closed flows that carried something, as the portal has them: losers of Happy Eyeballs (13.4) are left out."""
    return [flow for flow in heard(lab, role) if flow.get("flow_end") and flow["rx_bytes"] + flow["tx_bytes"] > 0]


def wait_for_flows(lab, at_least=1, limit=30, **wanted):
    give_up = time.monotonic() + limit
    while True:
        found = flows(lab, **wanted)
        if len(found) >= at_least:
            return found
        if time.monotonic() > give_up:
            raise Failed(f"{len(found)} closed flows at the portal after {limit} s, expected {at_least}")
        time.sleep(0.2)


def whole_download(lab):
    download(lab)
    found = wait_for_flows(lab)
    expect(len(found) == 1, f"{len(found)} flows of one download")
    flow = found[0]
    expect(flow["protocol"] == "tcp" and flow["inner_dst_ip"] == net.RES4 + net.WEB and flow["inner_dst_port"] == 80,
           f"the flow is another one: {flow}")
    expect(10_000_000 <= flow["rx_bytes"] <= 11_000_000, f"{flow['rx_bytes']} bytes received")
    expect(0 < flow["tx_bytes"] < 10_000, f"{flow['tx_bytes']} bytes sent")
    expect(flow["flow_start"] < flow["last_packet"] <= flow["flow_end"], "the times are in another order")
    return flow


@scenario("13.1", "a download is one flow, with its bytes", flows=True)
def one_flow(lab):
    flow = whole_download(lab)
    expect(flow["inner_src_ip"] == "100.64.0.1", flow["inner_src_ip"])
    for outer in flow["outers"]:
        expect(outer["dst_port"] == 52625 or "src_ip" in outer, f"odd way: {outer}")


@scenario("13.2", "three downloads at once are three flows", flows=True)
def three_flows(lab):
    sizes = [5_000_000, 7_000_000, 9_000_000]
    loads = [lab.hosts["client"].popen(["curl", "-sS", "-o", "/dev/null", f"{WEB4}/bytes?num={size}"]) for size in sizes]
    for load in loads:
        expect(load.wait(60) == 0, "a download failed")
    found = sorted(flow["rx_bytes"] for flow in wait_for_flows(lab, 3))
    expect(len(found) == 3, f"{len(found)} flows")
    for size, got in zip(sizes, found):
        expect(size <= got <= size + 1_000_000, f"{got} bytes of {size}")


@scenario("13.3", "roaming adds ways to the one flow", flows=True)
def roaming(lab):
    roam(lab)
    found = [flow for flow in wait_for_flows(lab) if flow["protocol"] == "tcp"]
    expect(len(found) == 1, f"{len(found)} flows")
    ways = [(outer.get("src_ip"), outer.get("src_port"), outer["dst_ip"]) for outer in found[0]["outers"]]
    expect(len(ways) >= 2, f"only the ways {ways}")
    expect(found[0]["rx_bytes"] >= 10_000_000, f"{found[0]['rx_bytes']} bytes")


@scenario("13.5", "a download that is given up", flows=True)
def aborted(lab):
    lab.hosts["client"].run(["curl", "-sS", "-m", "2", "-o", "/dev/null", f"{WEB4}/bytes?num=10000000&rate=1000000&chunk=10000"],
                            check=False)
    received = sum(flow["rx_bytes"] for flow in wait_for_flows(lab))
    expect(received >= 500_000, f"{received} bytes")


def reports(lab):
    shown = lab.hosts["gateway"].run(["find", SPOOL, "-name", "*.json*", "-path", "*responder*"], check=False).stdout
    return shown.split()


def short_flows(lab, number):
    """So many connections, one after the other."""
    urls = " ".join([f"{WEB4}/get"] * number)
    return lab.hosts["client"].popen(["sh", "-c", f"for url in {urls}; do curl -sS -m 5 -o /dev/null $url; done"])


@scenario("13.11-kill", "what the gateway wrote before it was killed arrives", flows=True)
def killed(lab):
    services.portal_ctl(lab, "fail-ingest", "status=503", "count=1000000")
    get(lab, WEB4 + "/get")
    load = short_flows(lab, 200)
    give_up = time.monotonic() + 30
    while len(reports(lab)) < 20:
        expect(time.monotonic() < give_up, "no reports in the spool within 30 s")
        time.sleep(0.05)
    lab.stop("gateway/gateway", signal.SIGKILL)
    os.killpg(load.pid, signal.SIGKILL)
    left = len(reports(lab))
    expect(not heard(lab), "something arrived though the portal takes nothing")
    services.portal_ctl(lab, "fail-clear")
    services.gateway(lab)
    give_up = time.monotonic() + 30
    while reports(lab) or len(heard(lab)) < left - 1:  # what was being written may be lost
        expect(time.monotonic() < give_up, f"{left} reports were left, {len(heard(lab))} arrived, {len(reports(lab))} still wait")
        time.sleep(0.2)
    return f"{left} reports were left, {len(heard(lab))} flows arrived"


@scenario("13.11-full", "a full disk: traffic goes on, and then reports, too", flows=True, allowed=["flow reports lost"])
def full_disk(lab):
    gateway = lab.hosts["gateway"]
    gateway.run(["sh", "-ec", f"mkdir -p {SPOOL}; mount -t tmpfs -o size=64k none {SPOOL}; rm -rf {SPOOL}/*;"
                              f" dd if=/dev/zero of={SPOOL}/ballast bs=4k count=16 status=none || true"])
    ping_until(lab, net.RES4 + net.WEB)
    download(lab)
    expect(not flows(lab), "reports though there is no room for them")
    gateway.run(["rm", f"{SPOOL}/ballast"])
    services.portal_ctl(lab, "init", "gateway")  # the configuration had no room, either
    get(lab, WEB4 + "/get")
    expect(wait_for_flows(lab), "")


@scenario("13.12-off", "nobody wants flow logs: nothing is written")
def nothing(lab):
    get(lab, WEB4 + "/get")
    lab.stop("gateway/gateway", signal.SIGTERM)
    expect(not os.path.exists(SPOOL) and not reports(lab), "there is a spool")
    services.gateway(lab)
