# SPDX-License-Identifier: Apache-2.0
"""Scenarios about how the programs are operated: status, reload, doctor."""
import json
import os
import signal
import subprocess
import sys

from . import net, services
from .checks import WEB4, ZEROS_SHA256, expect, get_both, wait_for_path
from .scenarios import scenario

OURS = {"client": "ours", "gateway": "ours"}


def ask(lab, host, *words, check=True):
    return lab.hosts[host].run([services.program(host.rstrip("2"), "ours"), *words], check=check)


def status(lab, host):
    return json.loads(ask(lab, host, "status", "--json").stdout)


def during_a_download(lab, action):
    """One TCP connection that carries 10 MB in about 7 s while something happens twice in between."""
    command = f"set -o pipefail; curl -sS --connect-timeout 10 --keepalive-time 1 '{WEB4}/bytes?num=10000000&rate=1400000&chunk=10000' | sha256sum"
    load = lab.hosts["client"].popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(2):
        try:
            load.wait(2)
        except subprocess.TimeoutExpired:
            action()
    try:
        out, err = load.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(load.pid, signal.SIGKILL)
        out, err = load.communicate()
    expect(load.returncode == 0 and out.split()[0] == ZEROS_SHA256, f"download: {err.strip() or 'wrong bytes'}")


@scenario("8.4-reload", "both programs reload during a download: same keys, same connection", **OURS)
def reload(lab):
    get_both(lab)
    before = {host: status(lab, host)["peers"][0] for host in ("client", "gateway")}

    def action():
        for host in before:
            ask(lab, host, "reload")
    during_a_download(lab, action)
    for host, peer in before.items():
        now = status(lab, host)
        expect(now["portal"]["joins"] == 3, f"{host} joined {now['portal']['joins']} times")
        expect([p["number"] for p in now["peers"]] == [peer["number"]], f"{host}: the connection was made anew")


@scenario("8.4-hangup", "SIGHUP at the gateway during a download", **OURS)
def hangup_gateway(lab):
    get_both(lab)
    number = status(lab, "client")["peers"][0]["number"]
    during_a_download(lab, lambda: os.kill(lab.processes["gateway/gateway"].pid, signal.SIGHUP))
    expect(status(lab, "gateway")["portal"]["joins"] == 3, "the gateway did not join again")
    expect(status(lab, "client")["peers"][0]["number"] == number, "the connection was made anew")


@scenario("8.4-hangup-client", "SIGHUP at the client, which starts over, during a download", **OURS)
def hangup_client(lab):
    get_both(lab)
    during_a_download(lab, lambda: os.kill(lab.processes["client/client"].pid, signal.SIGHUP))


@scenario("status-direct", "status says that the path is direct, and why", **OURS)
def status_direct(lab):
    get_both(lab)
    wait_for_path(lab, "direct")
    for host in "client", "gateway":
        peer = status(lab, host)["peers"][0]
        expect((peer["state"], peer["path"], peer["relayed"]) == ("connected", "direct", False), f"{host}: {peer}")
        expect("direct" in ask(lab, host, "status").stdout, f"{host}: no word of it in the table")


@scenario("status-relayed", "status says that the path is relayed, and why", nat_c="symmetric", nat_g="symmetric",
          underlay="v4", **OURS)
def status_relayed(lab):
    get_both(lab)
    for host in "client", "gateway":
        peer = status(lab, host)["peers"][0]
        expect(peer["relayed"] and "none of them directly" in peer["why"], f"{host}: {peer}")


# --- doctor -----------------------------------------------------------------------------------------------------------

HOSTS = ["app.firezone.dev", "flow-api.firezone.dev", "sentry.firezone.dev", "posthog.firezone.dev", "github.com",
         "www.firezone.dev"]
ADDRESSES = {name: f"198.51.100.{21 + i}" for i, name in enumerate(HOSTS)}
EXITS = {"ok": 0, "note": 0, "warning": 8, "failed": 1}


def resolver(lab, *more):
    if f"{net.INTERNET}/dnsmasq" in lab.processes:
        lab.stop(f"{net.INTERNET}/dnsmasq")
    services._dnsmasq(lab, net.INTERNET, [net.NET4 + "1", net.NET6 + "1"],
                      [f"--address=/{name}/{address}" for name, address in ADDRESSES.items()] + list(more))


def set_skew(lab, seconds):
    with open(lab.file("outside/skew"), "w", encoding="ascii") as file:
        file.write(str(seconds))


def outside(lab):
    """The hosts of the service, with a certificate that the client trusts."""
    certificate, key = lab.file("outside/certificate"), lab.file("outside/key")
    names = ",".join(f"DNS:{name}" for name in HOSTS)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=outside", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    with open(certificate, encoding="ascii") as file:
        lab.hosts["client"].run(["sh", "-ec", "mkdir -p /etc/ssl/certs; rm -f /etc/ssl/certs/ca-certificates.crt; "
                                 "cat > /etc/ssl/certs/ca-certificates.crt"], file.read())
    set_skew(lab, 0)
    host = lab.hosts[net.INTERNET]
    for address in ADDRESSES.values():
        host.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"])
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "outside.py")
    lab.start(net.INTERNET, "outside", [sys.executable, here, certificate, key, lab.file("outside/skew"), *ADDRESSES.values()],
              network_only=True, ready=lambda: host.listens("tcp", 443))
    resolver(lab)


def doctor(lab, token="token-client"):
    """Verdicts that are not "ok", by row; the exit status follows the worst of them."""
    env = {**os.environ, "FIREZONE_TOKEN": token}
    done = lab.hosts["client"].run([services.program("client", "ours"), "-u", services.portal_url(lab), "-i", "lab-client",
                                    "--firezone-name", "client", "doctor", "--json"], check=False, env=env)
    expect(done.stdout.strip(), f"no report: {done.stderr}")
    report = json.loads(done.stdout)
    expect(done.returncode == EXITS.get(report["worst"], 0), f"exit status {done.returncode} for {report['worst']}")
    for row in report["checks"]:
        expect(row["what"], f"nothing is said of {row['name']}")
        expect(bool(row["remedy"]) == (row["verdict"] in ("warning", "failed", "note")), f"remedy of {row}")
    return {row["name"]: row["verdict"] for row in report["checks"]}


def only(lab, verdicts, row, verdict):
    """Exactly this row is complained of; others may be skipped at most."""
    found = {name: each for name, each in verdicts.items() if each not in ("ok", "skipped")}
    expect(found == {row: verdict}, f"expected {row}: {verdict}, found {found}")


def blocked(lab, row, rule, verdict):
    router = lab.hosts["router-c"]
    router.run(["nft", "-f", "-"], f"add rule inet lab raw {rule}\n")
    only(lab, doctor(lab), row, verdict)
    router.run(["nft", "-f", "-"], "flush chain inet lab raw\n")


@scenario("doctor-rows", "doctor names exactly the row that is blocked", relays=2, client="none", gateway="none")
def doctor_rows(lab):
    outside(lab)
    good = doctor(lab)
    expect(set(good.values()) == {"ok"}, f"nothing is blocked, and yet: {good}")
    for name, address in ADDRESSES.items():
        verdict = "note" if name.startswith(("sentry", "posthog")) else "warning"
        blocked(lab, f"{name}:443", f"ip daddr {address} tcp dport 443 drop", verdict)
    blocked(lab, "portal", "tcp dport 8081 drop", "failed")
    blocked(lab, "relays, UDP 3478, IPv4", "meta nfproto ipv4 udp dport 3478 drop", "warning")
    blocked(lab, "relays, UDP 3478, IPv6", "meta nfproto ipv6 udp dport 3478 drop", "warning")
    blocked(lab, "relayed data, UDP 49152-65535", 'iifname "lan" udp dport 49152-65535 drop', "warning")
    blocked(lab, "UDP from peers", 'iifname "wan" udp sport != { 53, 3478 } drop', "warning")
    blocked(lab, "packet size", "meta l4proto udp meta length > 1335 drop", "warning")


@scenario("doctor-service", "doctor and a wrong token, clock, resolver", relays=2, client="none", gateway="none")
def doctor_service(lab):
    outside(lab)
    only(lab, doctor(lab, "no-token-of-ours"), "control plane", "failed")
    set_skew(lab, 3600)
    only(lab, doctor(lab), "clock", "warning")
    set_skew(lab, 0)
    resolver(lab, "--address=/firezone.dev/198.51.100.99")
    only(lab, doctor(lab), "name servers", "warning")
    lab.stop(f"{net.INTERNET}/dnsmasq")
    only(lab, doctor(lab), "name servers", "failed")
    resolver(lab)
    expect(set(doctor(lab).values()) == {"ok"}, "after all was mended")


for kind, row, severity in (("symmetric", "NAT", "warning"), ("stateless", "UDP from peers", "warning"),
                            ("relay-only", "relayed data, UDP 49152-65535", "warning"),
                            ("blocked", "relays, UDP 3478, IPv4", "failed"), ("eim", None, None),
                            ("eim-open", None, None), ("eim-addr", None, None)):
    @scenario(f"doctor-{kind}", "doctor behind a router of this kind", relays=2, client="none", gateway="none", nat_c=kind,
              underlay="v4")
    def doctor_kind(lab, row=row, severity=severity):
        outside(lab)
        lab.hosts["router-c"].run(["nft", "-f", "-"], 'insert rule inet lab forward udp dport 53 accept\n'
                                  'insert rule inet lab forward udp sport 53 accept\n')
        verdicts = doctor(lab)
        if row:
            only(lab, verdicts, row, severity)
        else:
            bad = {name: each for name, each in verdicts.items() if each not in ("ok", "skipped")}
            expect(not bad, f"complaints: {bad}")


@scenario("doctor-running", "doctor while the programs run: they are not disturbed", relays=2, **OURS)
def doctor_running(lab):
    get_both(lab)
    for host in "client", "gateway":
        ask(lab, host, "-u", services.portal_url(lab), "doctor", check=False)
        expect(status(lab, host)["portal"]["losses"] == 0, f"{host} lost the portal")
    get_both(lab)
