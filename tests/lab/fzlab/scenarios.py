# SPDX-License-Identifier: Apache-2.0
"""The scenarios, named after the ids of the acceptance list; a suffix marks our own variants."""
import fnmatch
import os
import shutil
import signal
import subprocess
import time

from . import net, services
from .checks import (WEB4, ZEROS_SHA256, Failed, after_every_scenario, download, expect, get, get_both, path_now,
                     ping_until, says_mode, stays_on_path, wait_for_path)
from .lab import Lab, Options
from .sandbox import LabError

SCENARIOS = []


def scenario(name, title, allowed=(), **options):
    """Registers a function that gets a laboratory with these options, with all programs up."""
    def register(function):
        SCENARIOS.append((name, title, function, options, allowed))
        return function
    return register


# --- 3: direct --------------------------------------------------------------------------------------------------------

def visit(lab):
    get_both(lab)


scenario("3.1", "web page over IPv4 and IPv6, both behind port-restricted NATs")(visit)
scenario("3.1-v4", "the same, IPv4 alone underneath", underlay="v4")(visit)
scenario("3.1-v6", "the same, IPv6 alone underneath", underlay="v6")(visit)
scenario("3.1-one-relay-of-two", "the same, with two relays", relays=2)(visit)


@scenario("3.1-two-clients", "two clients of one gateway", client2="same")
def two_clients(lab):
    get_both(lab)
    get_both(lab, "client2")
    wait_for_path(lab, "direct")
    wait_for_path(lab, "direct", router="router-c2")


@scenario("3.2", "10 MB arrive complete")
def whole_download(lab):
    return f"{10 / download(lab):.1f} MB/s"


@scenario("3.3", "10 MB through a gateway without IPv6", gateway_v6=False)
def download_without_ipv6(lab):
    download(lab)


@scenario("3.4", "TCP with ECN")
def ecn(lab):
    lab.hosts["client"].run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_ecn"])
    get_both(lab)


@scenario("3.5", "the path becomes direct and ends at the gateway's own port")
def direct_path(lab):
    get_both(lab)
    seconds = wait_for_path(lab, "direct")
    sent_to = net.destinations(lab.hosts["router-c"])
    want = {(net.public4("router-g"), 52625), (net.public6("router-g"), 52625)}
    expect(want & sent_to, f"no packet to port 52625 of the gateway's router, only {sorted(sent_to)}")
    return f"direct after {seconds:.1f} s"


# --- 4: kinds of NAT --------------------------------------------------------------------------------------------------

@scenario("4.1", "both behind symmetric NATs: 10 MB relayed", nat_c="symmetric", nat_g="symmetric")
def both_symmetric(lab):
    download(lab)
    stays_on_path(lab, "relay")


scenario("4.1-v4", "the same, IPv4 alone underneath", nat_c="symmetric", nat_g="symmetric",
         underlay="v4")(both_symmetric)
scenario("4.1-v6", "the same, IPv6 alone underneath", nat_c="symmetric", nat_g="symmetric",
         underlay="v6")(both_symmetric)


@scenario("4.3", "only the client's NAT is symmetric: relayed", nat_c="symmetric")
def client_symmetric(lab):
    get_both(lab)
    stays_on_path(lab, "relay")


def becomes_direct(lab):
    get(lab, WEB4 + "/get")
    return f"direct after {wait_for_path(lab, 'direct'):.1f} s"


for kind_c in ("open", "eim-open", "eim-addr", "eim"):
    for kind_g in ("open", "eim-open", "eim-addr", "eim"):
        if (kind_c, kind_g) != ("eim", "eim"):
            scenario(f"4.4-{kind_c}-{kind_g}", "direct path found", nat_c=kind_c, nat_g=kind_g,
                     underlay="v4")(becomes_direct)


def stays_relayed(lab):
    get(lab, WEB4 + "/get")
    stays_on_path(lab, "relay4")


def direct_over_ipv6(lab):
    get(lab, WEB4 + "/get")
    return f"direct after {wait_for_path(lab, 'direct6'):.1f} s"


scenario("4.5-v4", "symmetric at the gateway: IPv4 relayed", nat_g="symmetric", underlay="v4")(stays_relayed)
scenario("4.5-c", "symmetric at the client, IPv6 only filtered: direct over IPv6", nat_c="symmetric",
         v6="filter")(direct_over_ipv6)
scenario("4.5-g", "symmetric at the gateway, IPv6 only filtered: direct over IPv6", nat_g="symmetric",
         v6="filter")(direct_over_ipv6)


def works_relayed(lab):
    get_both(lab)
    stays_on_path(lab, "relay", seconds=2)


scenario("4.6-stateless", "firewall that lets UDP back from relays alone", nat_c="stateless")(works_relayed)
scenario("4.6-relay-only", "firewall that lets UDP out to relays alone", nat_c="relay-only")(works_relayed)
scenario("4.6-relay-only-both", "the same on both sides", nat_c="relay-only", nat_g="relay-only")(works_relayed)


# --- 5: roaming -------------------------------------------------------------------------------------------------------

@scenario("5.1", "the client moves to another address during a download")
def roam(lab, told=True):
    client = lab.hosts["client"]
    ping_until(lab, f"{net.RES4}{net.WEB}")
    command = ("set -o pipefail; curl -sS --connect-timeout 10 --keepalive-time 1"
               f" '{WEB4}/bytes?num=10000000&rate=700000&chunk=10000' | sha256sum")
    started = time.monotonic()
    load = client.popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(5)
    expect(load.poll() is None, "the download ended before the move")
    client.run("ip link set eth0 down")
    time.sleep(3)
    _, prefix4, prefix6, _ = net.PRIVATE["client"]
    net.private_addresses(client, prefix4, prefix6, "200", lab.options.underlay)
    if told:
        os.kill(lab.processes["client/client"].pid, signal.SIGHUP)
    moved = time.monotonic()
    while client.run(["ping", "-n", "-c", "1", "-W", "0.2", f"{net.RES4}{net.WEB}"], check=False).returncode != 0:
        expect(time.monotonic() - moved < 20, "no answer to ping within 20 s of the move")
    gap = time.monotonic() - moved
    try:
        out, err = load.communicate(timeout=max(1, 65 - (time.monotonic() - started)))
    except subprocess.TimeoutExpired:
        os.killpg(load.pid, signal.SIGKILL)
        raise Failed("the download did not finish within 60 s") from None
    expect(load.returncode == 0 and out.split()[0] == ZEROS_SHA256, f"download: {err.strip() or 'wrong bytes'}")
    allowed = 2 if lab.options.client == "ours" else 5
    expect(gap <= allowed, f"{gap:.1f} s from the move to the first answer, allowed are {allowed} s")
    return f"answers {gap:.2f} s after the move"


@scenario("5.1-relayed", "the same, relayed", nat_c="symmetric", nat_g="symmetric")
def roam_relayed(lab):
    return roam(lab)


# --- 8, 10, 11: outages, restarts, loss -------------------------------------------------------------------------------

@scenario("8.1", "the portal stops: what works goes on", allowed=["portal", "Portal", "phoenix"])
def portal_stops(lab):
    get_both(lab)
    lab.stop("portal/portal")
    get_both(lab)


@scenario("8.2", "the portal restarts", allowed=["portal", "Portal", "phoenix"])
def portal_restarts(lab):
    get_both(lab)
    lab.stop("portal/portal")
    services.portal(lab)
    get_both(lab)


@scenario("10.1", "the gateway restarts")
def gateway_restarts(lab):
    get_both(lab)
    lab.stop("gateway/gateway")
    services.gateway(lab)
    seconds = ping_until(lab, f"{net.RES4}{net.WEB}")
    get_both(lab)
    return f"answers {seconds:.1f} s after the gateway is up"


@scenario("10.1-kill", "the gateway is killed and starts again")
def gateway_killed(lab):
    get_both(lab)
    lab.stop("gateway/gateway", signal.SIGKILL)
    services.gateway(lab)
    seconds = ping_until(lab, f"{net.RES4}{net.WEB}")
    get_both(lab)
    return f"answers {seconds:.1f} s after the gateway is up"


@scenario("10.1-client", "the client restarts while the gateway still has the old session")
def client_restarts(lab):
    get_both(lab)
    lab.stop("client/client", signal.SIGKILL)
    services.client(lab)
    get_both(lab)


@scenario("11.1", "10 MB with 20 % loss on the client's side", loss=20.0)
def lossy(lab):
    return f"{10 / download(lab, slowest=10240, over=30, limit=300):.2f} MB/s, path {path_now(lab)}"


# --- without ICE ------------------------------------------------------------------------------------------------------

def without_ice(function):
    """The same scenario, and the programs that are ours say that they did without ICE."""
    def scene(lab):
        remark = function(lab)
        for name in ("client", "client2", "gateway"):
            says_mode(lab, name, "without")
        return remark
    return scene


ICELESS = ("3.1", "3.1-v4", "3.1-v6", "3.1-one-relay-of-two", "3.1-two-clients", "3.2", "3.5", "4.*", "5.*", "8.*",
           "10.*", "11.1")
OF_THEIR_OWN = {"4.1": "4.2", "5.1": "5.2", "11.1": "11.2"}  # the acceptance list names these
for row in [row for row in SCENARIOS if any(fnmatch.fnmatch(row[0], name) for name in ICELESS)]:
    scenario(OF_THEIR_OWN.get(row[0], row[0] + "-iceless"), row[1] + ", without ICE", allowed=row[4], iceless=True, **row[3])(without_ice(row[2]))


@scenario("16-mixed", "one gateway, a client with ICE and one without", client2="same", iceless=True)
def both_kinds(lab):
    get_both(lab)
    services.portal_ctl(lab, "set", "iceless=false")
    get_both(lab, "client2")
    for router, name in (("router-c", "client"), ("router-c2", "client2")):
        wait_for_path(lab, "direct", router=router)
        get_both(lab, name)
    says_mode(lab, "client", "without")
    says_mode(lab, "client2", "with")


# --- running ----------------------------------------------------------------------------------------------------------

def show_list():
    for name, title, *_ in SCENARIOS:
        print(f"{name:22} {title}")


def run(args, report):
    chosen = [row for row in SCENARIOS
              if not args.names or any(fnmatch.fnmatch(row[0], pattern) for pattern in args.names)]
    if not chosen:
        raise LabError(f"no scenario matches {' '.join(args.names)}; 'lab list' shows them")
    programs = {"client": args.client, "gateway": args.gateway, "relay": args.relay}
    for row in chosen:
        run_one(row, programs, report)


def missing_program(options):
    needed = [("portal", "ours"), ("client", options.client), ("gateway", options.gateway)]
    if options.relay in ("theirs", "mixed"):
        needed.append(("relay", "theirs"))
    for kind, whose in needed:
        if whose != "none" and not services.have(kind, whose):
            return (services.OURS if whose == "ours" else services.THEIRS)[kind]
    return None


def run_one(row, programs, report, name=None):
    """Runs one scenario in a laboratory of its own."""
    scenario_name, title, function, options, allowed = row
    name = name or scenario_name
    options = Options(**{**programs, **options})
    if options.client2 == "same":
        options.client2 = options.client
    missing = missing_program(options)
    if missing:
        report.skip(name, f"{title}: {missing} is not there")
        return
    started = time.monotonic()
    lab = Lab(options)
    try:
        with lab.up():
            remark = function(lab)
            after_every_scenario(lab, allowed)
    except (Failed, LabError) as problem:
        kept = keep_logs(lab, name)
        report.fail(name, f"{title}: {problem}\nlogs: {kept}", time.monotonic() - started)
        return
    lab.forget_files()
    report.ok(name, title + (f": {remark}" if remark else ""), time.monotonic() - started)


def keep_logs(lab, name):
    """Moves the files of a failed scenario aside, where the next one does not overwrite them."""
    kept = f"{lab.folder}-failed/{name.replace('/', '_')}"
    shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    try:
        shutil.move(lab.folder, kept)
    except OSError as problem:
        return f"{lab.folder} ({problem})"
    return kept
