# SPDX-License-Identifier: Apache-2.0
"""Scenarios about the client's own system: networks that change, its routes, its name servers."""
import signal
import time

from . import net, services
from .checks import expect, get_both, ping_until
from .scenarios import roam, scenario

RESOLV_CONF, BACKUP = "/etc/resolv.conf", "/etc/resolv.conf.before-firezone"
TABLES = (539098368, 539098369, 539098370)


def move(lab, last):
    """The client's addresses and routes become others, as after a change of networks. Nobody is told."""
    _, prefix4, prefix6, _ = net.PRIVATE["client"]
    net.private_addresses(lab.hosts["client"], prefix4, prefix6, last, lab.options.underlay)


def first_answer(lab, limit):
    """Seconds until a packet came back, looking five times a second."""
    started = time.monotonic()
    while lab.hosts["client"].run(["ping", "-n", "-c", "1", "-W", "0.2", f"{net.RES4}{net.WEB}"],
                                  check=False).returncode != 0:
        expect(time.monotonic() - started < 20, "no answer to ping within 20 s")
    seconds = time.monotonic() - started
    expect(seconds <= limit, f"{seconds:.1f} s until the first answer, allowed are {limit} s")
    return seconds


# --- 5: roaming -------------------------------------------------------------------------------------------------------

@scenario("5.1-no-signal", "the client moves during a download, and nobody tells it")
def roam_unnoticed(lab):
    return roam(lab, told=False)


@scenario("5.1-address", "another address at once, nobody tells it")
def other_address(lab):
    ping_until(lab, f"{net.RES4}{net.WEB}")
    gaps = []
    for last in ("200", "201", "202"):
        time.sleep(2)
        move(lab, last)
        gaps.append(first_answer(lab, 2))
    return "answers after " + ", ".join(f"{gap:.2f} s" for gap in gaps)


@scenario("5.1-offline", "no network at the start, then there is one",
          allowed=["portal", "Portal", "UDP", "name", "relay", "network"])
def late_network(lab):
    lab.stop("client/client")
    lab.hosts["client"].run("ip link set eth0 down")
    services.start_client(lab)
    time.sleep(3)
    expect(lab.processes["client/client"].alive(), "the client ended without a network")
    move(lab, "2")
    started = time.monotonic()
    ping_until(lab, f"{net.RES4}{net.WEB}")
    return f"answers {time.monotonic() - started:.1f} s after the network came"


# --- 14: interface, routes, rules -------------------------------------------------------------------------------------

def traces(lab):
    """What a client could leave on its host."""
    shown = ["ip rule", "ip -6 rule", "ip -br link | cut -d@ -f1", f"cat {RESOLV_CONF}", f"ls {BACKUP}"]
    shown += [f"ip {family} route show table {table}" for family in ("-4", "-6") for table in TABLES]
    return lab.hosts["client"].run(["sh", "-c", "; ".join(shown) + "; true"], check=False).stdout


@scenario("14.9-clean", "nothing is left after the end, and after a kill and the next end", dns="etc-resolv-conf")
def clean(lab):
    get_both(lab)
    lab.stop("client/client")
    before = traces(lab)
    expect("2021fd" not in before and "5390983" not in before, f"left at the end:\n{before}")
    services.client(lab)
    get_both(lab)
    lab.stop("client/client", signal.SIGKILL)
    services.client(lab)
    get_both(lab)
    lab.stop("client/client")
    after = traces(lab)
    expect(before == after, f"before:\n{before}\nafter:\n{after}")
    services.client(lab)


@scenario("14.7-deleted", "the tunnel interface is deleted and comes back", allowed=["interface was deleted"])
def deleted(lab):
    get_both(lab)
    lab.hosts["client"].run("ip link delete tun-firezone")
    started = time.monotonic()
    ping_until(lab, f"{net.RES4}{net.WEB}")
    seconds = time.monotonic() - started
    get_both(lab)
    lab.hosts["gateway"].run("ip link delete tun-firezone")
    ping_until(lab, f"{net.RES4}{net.WEB}")
    get_both(lab)
    return f"answers {seconds:.2f} s after the deletion"
