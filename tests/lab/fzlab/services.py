# SPDX-License-Identifier: Apache-2.0
"""The programs of the laboratory: how each is started and when it counts as ready."""
import json
import os
import re
import sys
import time

from . import net
from .sandbox import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
TURN_SECRET = "lab-turn-secret"
TUNNEL = "tun-firezone"
SITE = "HQ"
SEARCH_DOMAIN = "httpbin.search.test"

# name -> the addresses that the DNS server of the resource network knows
RESOURCE_NAMES = {
    "download.httpbin": net.WEB, "alias.httpbin": net.WEB, "alias2.httpbin": net.WEB,
    "dns.httpbin.search.test": net.WEB, "web.lab": net.WEB, "iperf3.test": net.IPERF,
}
# Its TXT record does not fit into a packet.
LONG_NAME, LONG_PARTS = "2048.size.example", 10
# What the resources of names let through.
WEB_FILTERS = [{"protocol": protocol, "port_range_start": port, "port_range_end": port}
               for protocol, port in (("tcp", 80), ("tcp", 433), ("udp", 53))] + [{"protocol": "icmp"}]
OUTSIDE_NAMES = {"github.com": "7", "example.com": "8"}

OURS = {"client": "fz-client", "gateway": "fz-gateway", "portal": "fz-devportal"}
THEIRS = {"client": "firezone-headless-client", "gateway": "firezone-gateway", "relay": "firezone-relay"}


def program(kind, whose):
    """Path of a program: ours from the build folder, upstream's from PEER_DIR."""
    if whose == "theirs":
        folder = os.environ.get("PEER_DIR")
        if not folder:
            raise LabError(f"PEER_DIR names no folder with {THEIRS[kind]}")
        path = os.path.join(os.path.abspath(folder), THEIRS[kind])
        found = path if os.access(path, os.X_OK) else None
    else:
        folder = build_folder()
        name = OURS[kind]
        places = [os.path.join(folder, "bin", name), os.path.join(folder, "bin", name, name)]
        path = places[0]
        found = next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)
    if not found:
        raise LabError(f"{path} does not exist or is not a program")
    return found


def build_folder():
    return os.environ.get("FZ_BUILD") or os.path.abspath(os.path.join(HERE, "..", "..", "..", "build"))


def have(kind, whose):
    try:
        program(kind, whose)
        return True
    except LabError:
        return False


def name_servers(lab):
    """DNS for names outside (on the internet) and for the resource network; resolv.conf and hosts everywhere."""
    outside = [f"--address=/{name}/198.51.100.{last}" for name, last in OUTSIDE_NAMES.items()]
    outside.append(f"--txt-record={LONG_NAME}," + ",".join(["x" * 200] * LONG_PARTS))
    _dnsmasq(lab, net.INTERNET, [net.NET4 + "1", net.NET6 + "1"], outside)
    inside = []
    for name, last in RESOURCE_NAMES.items():
        inside += [f"--host-record={name},{net.RES4}{last},{net.RES6}{last}"]
    # Upstream's gateway uses only servers that know this one.
    inside += [f"--host-record=firezone.dev,{net.RES4}{net.WEB}"]
    inside += ["--txt-record=txt.httpbin,hello", "--srv-host=_web._tcp.httpbin,download.httpbin,80"]
    _dnsmasq(lab, "res", [net.RES4 + net.DNS, net.RES6 + net.DNS], inside)
    for name, host in lab.hosts.items():
        if name == net.INTERNET:
            continue
        server = f"{net.RES4}{net.DNS}" if name in ("gateway", "res") else f"{net.NET4}1"
        host.run(["sh", "-ec", "rm -f /etc/resolv.conf; cat > /etc/resolv.conf"], f"nameserver {server}\n")
        host.run(["sh", "-ec", "rm -f /etc/hosts; cat > /etc/hosts"], "127.0.0.1 localhost\n::1 localhost\n"
                 f"{net.public4('portal')} portal\n{net.public6('portal')} portal\n")


def _dnsmasq(lab, host, addresses, options):
    lab.start(host, "dnsmasq", ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces",
                                "--conf-file=/dev/null", "--pid-file=",
                                "--local-ttl=60"] + [f"--listen-address={each}" for each in addresses] + options,
              network_only=host == net.INTERNET,
              ready=lambda: lab.hosts[host].listens("udp", 53))


def resource_servers(lab):
    lab.start("res", "web", [sys.executable, os.path.join(HERE, "web.py"), "80"],
              ready=lambda: lab.hosts["res"].listens("tcp6", 80))
    # Bound to one address each: its UDP answers would else come from the first address of the host.
    for name, address, table in (("iperf3", net.RES4 + net.IPERF, "tcp"), ("iperf3-v6", net.RES6 + net.IPERF, "tcp6")):
        lab.start("res", name, ["iperf3", "--server", "--forceflush", "--bind", address],
                  ready=lambda table=table: lab.hosts["res"].listens(table, 5201))


# --- portal ---------------------------------------------------------------------------------------------------------

def _device(role, name, ipv4, ipv6):
    device = {"role": role, "name": name, "token": f"token-{name}", "external_id": f"lab-{name}",
              "ipv4": ipv4, "ipv6": ipv6}
    if role == "gateway":
        device["site"] = SITE
    return device


def portal_config(lab):
    relays = []
    for name, kind, users in lab.relay_plan():
        if kind == "coturn":
            entry = {"name": name, "mode": "coturn", "secret": TURN_SECRET,
                     "addrs": [f"{net.public4(name)}:3478", f"[{net.public6(name)}]:3478"]}
            if users is not None:
                entry["devices"] = users
            relays.append(entry)
    settings = {"iceless": lab.options.iceless, "search_domain": SEARCH_DOMAIN,
                "upstream_do53": [f"{net.NET4}1"]}
    if lab.options.flows:
        settings.update(flow_api_url=f"http://{net.public4('portal')}:8081/", upload_interval_secs=1, uploads_enabled=True)
    return {
        "listen": ["0.0.0.0:8081", "[::]:8081"],
        "settings": settings,
        "sites": [SITE],
        "devices": [
            _device("gateway", "gateway", "100.64.0.20", "fd00:2021:1111::20"),
            _device("client", "client", "100.64.0.1", "fd00:2021:1111::1"),
            _device("client", "client2", "100.64.0.2", "fd00:2021:1111::2"),
        ],
        "tokens": [{"token": "token-relay", "role": "relay"}],
        "resources": [
            {"type": "cidr", "name": "MyCorp Network", "address": "10.20.0.0/16", "site": SITE},
            {"type": "cidr", "name": "MyCorp Network (IPv6)", "address": "fd20::/64", "site": SITE},
            {"type": "dns", "name": "httpbin", "address": "**.httpbin", "filters": WEB_FILTERS, "site": SITE},
            {"type": "dns", "name": "httpbin with search domain", "address": "**.httpbin.search.test",
             "filters": WEB_FILTERS, "site": SITE},
            {"type": "dns", "name": "iperf3", "address": "iperf3.test", "site": SITE,
             "filters": [{"protocol": protocol, "port_range_start": 5201, "port_range_end": 5201}
                         for protocol in ("tcp", "udp")] + [{"protocol": "icmp"}]},
        ],
        "relays": relays,
    }


def portal(lab):
    path = lab.file("portal/config.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(portal_config(lab), file, indent=1)
    argv = [program("portal", "ours"), "--config", path]
    if lab.options.remembers:
        argv += ["--state", lab.file("portal/state.json")]
    lab.start("portal", "portal", argv,
              ready=lambda: lab.hosts["portal"].listens("tcp", 8081))


def portal_ctl(lab, *words, check=True):
    return lab.hosts["portal"].run([program("portal", "ours"), "ctl", *words], check=check)


def portal_url(lab, whose="ours"):
    host = net.public4("portal")
    if lab.options.underlay == "v6":
        # upstream's programs take no IPv6 literal; the name is in the hosts file
        host = "portal" if whose == "theirs" else f"[{net.public6('portal')}]"
    return f"ws://{host}:8081"


# --- relays ---------------------------------------------------------------------------------------------------------

def relays(lab):
    for name, kind, users in lab.relay_plan():
        start_relay(lab, name, kind)
        if kind == "theirs":
            wait_for_relay(lab, name, users)


def wait_for_relay(lab, name, users):
    """Waits until an upstream relay has joined the portal; then only the named devices are told of it."""
    give_up = time.monotonic() + 10
    while True:
        state = json.loads(portal_ctl(lab, "state", "--json").stdout)
        known = [each for each in state["relays"] if f"{net.public4(name)}:3478" in each["addrs"]]
        if known and known[0]["joined"]:
            break
        if time.monotonic() > give_up:
            raise LabError(f"{name} did not join the portal; read {lab.processes[name + '/relay'].log}")
        time.sleep(0.1)
    if users is not None:
        portal_ctl(lab, "relays", "update", known[0]["id"], "devices=" + json.dumps(users))


def start_relay(lab, name, kind):
    ready = lambda: lab.hosts[name].listens("udp", 3478) or lab.hosts[name].listens("udp6", 3478)  # noqa: E731
    if kind == "coturn":
        addresses = [net.public4(name), net.public6(name)]
        argv = ["turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--realm=firezone",
                "--use-auth-secret", f"--static-auth-secret={TURN_SECRET}", "--listening-port=3478",
                "--min-port=49152", "--max-port=65535", "--no-stdout-log", "--simple-log",
                f"--log-file={lab.file(name + '/turnserver.log')}", "--pidfile=/run/turnserver.pid",
                "--userdb=/run/turn.db", "--no-software-attribute", "--relay-threads=1"]
        for address in addresses:
            argv += [f"--listening-ip={address}", f"--relay-ip={address}"]
        lab.start(name, "relay", argv, ready=ready)
    else:
        env = dict(FIREZONE_API_URL=f"ws://{net.public4('portal')}:8081", FIREZONE_TOKEN="token-relay",
                   FIREZONE_NAME=name, PUBLIC_IP4_ADDR=net.public4(name), PUBLIC_IP6_ADDR=net.public6(name),
                   RUST_LOG="info", NO_COLOR="1")
        lab.start(name, "relay", [program("relay", "theirs")], env=env, ready=ready)


# --- gateway and clients ------------------------------------------------------------------------------------------------

def firezone_env(lab, name):
    whose = getattr(lab.options, name)
    return dict(FIREZONE_API_URL=portal_url(lab, whose), FIREZONE_TOKEN=f"token-{name}", FIREZONE_ID=f"lab-{name}",
                FIREZONE_NAME=name, FIREZONE_NO_TELEMETRY="true", RUST_LOG=lab.options.log, NO_COLOR="1")


def settle(whose):
    """Upstream's programs discard a grant that comes before a relay's first answer, and with a warning."""
    if whose == "theirs":
        time.sleep(0.5)


def gateway(lab):
    lab.start("gateway", "gateway", [program("gateway", lab.options.gateway)], env=firezone_env(lab, "gateway"),
              ready=lambda: tunnel_is_up(lab, "gateway"))
    settle(lab.options.gateway)


def client(lab, name="client"):
    start_client(lab, name, ready=lambda: tunnel_is_up(lab, name))
    settle(getattr(lab.options, name))


def start_client(lab, name="client", ready=None):
    env = firezone_env(lab, name)
    env["FIREZONE_DNS_CONTROL"] = lab.options.dns
    lab.start(name, name, [program("client", getattr(lab.options, name))], env=env, ready=ready)


def tunnel_is_up(lab, name):
    """The interface exists and has its addresses, so init has arrived and has been acted on."""
    host = lab.hosts[name]
    if not host.has_interface(TUNNEL):
        return False
    shown = host.run(["ip", "-o", "addr", "show", "dev", TUNNEL], check=False).stdout
    return re.search(r"inet6? (100\.|fd00:2021:1111:)", shown) is not None
