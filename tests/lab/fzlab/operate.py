# SPDX-License-Identifier: Apache-2.0
"""Scenarios about how the programs are operated: status, reload, doctor."""
import json
import os
import signal
import subprocess

from . import services
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
