# SPDX-License-Identifier: Apache-2.0
"""What a gateway lets through, what it answers otherwise, and what it leaves behind."""
import signal

from . import net, services
from .checks import WEB4, expect, get
from .dns_scenarios import DNS
from .scenarios import scenario

GATEWAY4 = "100.64.0.20"
TABLE = "fz-tun-firezone"

SWEEP = """
import socket, sys
for port in (22, 80, 443, 5200, 5201, 5202, 8080, 65535):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect((sys.argv[1], port))
        print(port, "open")
    except OSError as error:
        print(port, type(error).__name__, error.errno)
    s.close()
"""


def run(lab, *argv, host="client"):
    return lab.hosts[host].run(list(argv), check=False, timeout=60)


def sweep(lab, name):
    done = run(lab, "python3", "-c", SWEEP, name)
    expect(done.returncode == 0, f"sweep of {name}: {done.stderr.strip()}")
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


@scenario("10.4-sweep", "exactly the granted ports of a name answer, the others are refused at once", **DNS)
def granted_ports(lab):
    found = sweep(lab, "iperf3.test")
    expect(found.pop("5201") == "open", "the granted port is closed")
    # "prohibited" is EHOSTUNREACH (113) for TCP; a time-out has no number
    wrong = {port: what for port, what in found.items() if not what.endswith(" 113")}
    expect(not wrong, f"not refused: {wrong}")


@scenario("11.9-hop", "the gateway is the first hop on the way to a name", **DNS)
def first_hop(lab):
    for target in (f"{net.RES4}{net.WEB}", "download.httpbin"):
        text = run(lab, "ping", "-n", "-4", "-c", "1", "-W", "5", "-t", "1", target).stdout
        expect(f"From {GATEWAY4}" in text and "exceeded" in text, f"ping with TTL 1 to {target}: {text}")


@scenario("9.1-name", "access to names ends with a word, others of the client go on", **DNS)
def names_are_revoked(lab):
    get(lab, "http://download.httpbin/get")
    get(lab, WEB4 + "/get")
    services.portal_ctl(lab, "revoke", "client", "httpbin")
    get(lab, WEB4 + "/get")
    get(lab, "http://download.httpbin/get")  # asked for anew


def tables(lab):
    return run(lab, "nft", "list", "tables", host="gateway").stdout


@scenario("10.1-rules", "the gateway's rules are there while it runs, and gone after its end, however that comes")
def rules_go(lab):
    for how in (signal.SIGTERM, signal.SIGKILL):
        expect(TABLE in tables(lab), f"no rules of the gateway: {tables(lab)}")
        lab.stop("gateway/gateway", how)
        expect(TABLE not in tables(lab), f"rules stay after signal {how}: {tables(lab)}")
        services.gateway(lab)
