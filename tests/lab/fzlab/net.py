# SPDX-License-Identifier: Apache-2.0
"""The map of the laboratory: which hosts there are, their links, addresses and routes.

 [client]--[router-c]--\\                       /--[router-g]--[gateway]--[res 10.20.0.0/16, fd20::/64]
 [client2]-[router-c2]--[internet 203.0.113.0/24]
                        [2001:db8:113::/64     ]--[portal .10] [relay-1 .101] [relay-2 .102]
"""
import json

from . import nat
from .sandbox import Host

NET4, NET6 = "203.0.113.", "2001:db8:113::"
INTERNET = "internet"

# host on the internet -> last part of its addresses
PUBLIC = {"portal": "10", "relay-1": "101", "relay-2": "102", "router-c": "21", "router-c2": "22", "router-g": "31"}
# host in a private network -> its router, IPv4 prefix, IPv6 prefix, key of the router's kind
PRIVATE = {
    "client": ("router-c", "192.168.1.", "2001:db8:1::", "c"),
    "client2": ("router-c2", "192.168.3.", "2001:db8:3::", "c2"),
    "gateway": ("router-g", "192.168.2.", "2001:db8:2::", "g"),
}
RELAYS = ["relay-1", "relay-2"]
HOSTS = list(PUBLIC) + list(PRIVATE) + ["res"]

RES4, RES6 = "10.20.0.", "fd20::"
WEB, IPERF, DNS = "100", "110", "53"
TUNNEL4, TUNNEL6 = "100.64.0.0/11", "fd00:2021:1111::/107"


def public4(host):
    return NET4 + PUBLIC[host]


def public6(host):
    return NET6 + PUBLIC[host]


def _path(host):
    return f"/proc/{host.pid}/ns/net"


def _batch(host, lines):
    host.run(["ip", "-batch", "-"], "".join(line + "\n" for line in lines), network_only=True)


def _sysctls(host, **values):
    lines = "".join(f"echo {value} > /proc/sys/net/{name.replace('__', '/')}\n" for name, value in values.items())
    host.run(["sh", "-e"], lines)


def build(box, folder, kinds4, kinds6, underlay):
    """Makes all hosts and links. kinds4, kinds6: of the routers "c", "c2" and "g". Returns name -> Host."""
    hosts = {INTERNET: Host(INTERNET, box.init_pid, folder)}
    for name in HOSTS:
        hosts[name] = Host.create(box, name, f"{folder}/{name}")
    switch = hosts[INTERNET]
    for host in hosts.values():
        _sysctls(host, ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0,
                 ipv6__conf__default__accept_ra=0)
        if host is not switch:
            _batch(host, ["link set lo up"])
    _batch(switch, ["link set lo up", "link add name br0 type bridge forward_delay 0 mcast_snooping 0",
                    f"addr add {NET4}1/24 dev br0", f"addr add {NET6}1/64 dev br0 nodad", "link set br0 up"])
    for name in PUBLIC:
        _link(switch, name, hosts[name], "wan" if name.startswith("router") else "eth0")
        _batch(switch, [f"link set {name} master br0 up"])
    for name in PUBLIC:
        device = "wan" if name.startswith("router") else "eth0"
        lines = [f"addr add {public4(name)}/24 dev {device}", f"addr add {public6(name)}/64 dev {device} nodad",
                 f"link set {device} up", f"route add default via {NET4}1", f"route add default via {NET6}1"]
        for router, prefix4, prefix6, key in PRIVATE.values():
            if router == name:
                continue
            if kinds4[key] in ("open", "filter"):
                lines.append(f"route add {prefix4}0/24 via {public4(router)}")
            if kinds6[key] in ("open", "filter"):
                lines.append(f"route add {prefix6}/64 via {public6(router)}")
        _batch(hosts[name], lines)
    for name, (router, prefix4, prefix6, key) in PRIVATE.items():
        _private_network(hosts[name], hosts[router], prefix4, prefix6, underlay)
        hosts[router].run(["nft", "-f", "-"], nat.rules(kinds4[key], kinds6[key], prefix4 + "2", prefix6 + "2",
                                                          [public4(each) for each in RELAYS],
                                                          [public6(each) for each in RELAYS]))
    _resource_network(hosts["gateway"], hosts["res"])
    return hosts


def _link(one, one_device, other, other_device):
    _batch(one, [f"link add name {one_device} txqueuelen 100000 type veth"
                 f" peer name {other_device} txqueuelen 100000 netns {_path(other)}"])


def _forwarding(host):
    _sysctls(host, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1, ipv6__conf__default__forwarding=1)


def _private_network(inner, router, prefix4, prefix6, underlay):
    _forwarding(router)
    _link(router, "lan", inner, "eth0")
    _batch(router, [f"addr add {prefix4}1/24 dev lan", f"addr add {prefix6}1/64 dev lan nodad", "link set lan up"])
    private_addresses(inner, prefix4, prefix6, "2", underlay)


def private_addresses(inner, prefix4, prefix6, last, underlay):
    """Gives a host in a private network its addresses and default routes, after taking what it had."""
    lines = ["addr flush dev eth0", "link set eth0 up"]
    if underlay in ("both", "v4"):
        lines += [f"addr add {prefix4}{last}/24 dev eth0", f"route replace default via {prefix4}1"]
    if underlay in ("both", "v6"):
        lines += [f"addr add {prefix6}{last}/64 dev eth0 nodad", f"route replace default via {prefix6}1"]
    _batch(inner, lines)


def _resource_network(gateway, res):
    _forwarding(gateway)
    _link(gateway, "eth1", res, "eth0")
    _batch(gateway, [f"addr add {RES4}1/16 dev eth1", f"addr add {RES6}1/64 dev eth1 nodad", "link set eth1 up"])
    lines = ["link set eth0 up"]
    for last in (WEB, IPERF, DNS):
        lines += [f"addr add {RES4}{last}/16 dev eth0", f"addr add {RES6}{last}/64 dev eth0 nodad"]
    _batch(res, lines + [f"route add default via {RES4}1", f"route add default via {RES6}1"])
    gateway.run(["nft", "-f", "-"], f"""
table inet gateway {{
  chain after {{ type nat hook postrouting priority 100; policy accept;
    oifname "eth1" ip saddr {TUNNEL4} masquerade
    oifname "eth1" ip6 saddr {TUNNEL6} masquerade
  }}
}}
""")


def raw_path(hosts, on):
    """Opens (or closes) a way from the client to the resource network through both routers without any tunnel."""
    verb = "replace" if on else "del"
    lan4, lan6 = PRIVATE["gateway"][1:3]
    own4, own6 = PRIVATE["client"][1:3]
    _batch(hosts["client"], [f"route {verb} {RES4}0/16 via {own4}1", f"route {verb} {RES6}/64 via {own6}1"])
    _batch(hosts["router-c"], [f"route {verb} {RES4}0/16 via {public4('router-g')}",
                               f"route {verb} {RES6}/64 via {public6('router-g')}"])
    _batch(hosts["router-g"], [f"route {verb} {RES4}0/16 via {lan4}2", f"route {verb} {RES6}/64 via {lan6}2"])
    rules = "flush chain inet lab raw\n"
    if on:
        rules += (f"add rule inet lab raw ip daddr {RES4}0/16 accept\n"
                  f"add rule inet lab raw ip6 daddr {RES6}/64 accept\n")
    hosts["router-g"].run(["nft", "-f", "-"], rules)


def set_loss(router, percent):
    router.run(["nft", "-f", "-"], nat.loss_rules(percent))


def read_counters(router):
    """The byte counters of nat.rules() by name."""
    out = router.run(["nft", "-j", "list", "counters", "table", "inet", "lab"]).stdout
    counters = [entry["counter"] for entry in json.loads(out)["nftables"] if "counter" in entry]
    return {counter["name"]: counter["bytes"] for counter in counters}


def stop_counting(hosts):
    """Takes the counters out of the way of a measurement."""
    for router, *_ in PRIVATE.values():
        hosts[router].run("nft flush chain inet lab count")


def destinations(router):
    """(address, port) of all UDP flows that hosts behind the router opened."""
    out = router.run(["nft", "-j", "list", "table", "inet", "lab"]).stdout
    found = set()
    for entry in json.loads(out)["nftables"]:
        if entry.get("set", {}).get("name", "").startswith("opened"):
            found |= {tuple(element["concat"]) for element in entry["set"].get("elem", [])}
    return found
