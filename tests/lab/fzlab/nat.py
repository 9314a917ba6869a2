# SPDX-License-Identifier: Apache-2.0
"""What a router between a private network and the internet does to packets, as nftables rules."""

RELAY_PORT = 3478

KINDS = {
    "open": "no translation, no filter",
    "filter": "no translation; only answers come in (a firewall)",
    "eim-open": "keeps the port; anybody may send to it (full cone)",
    "eim-addr": "keeps the port; hosts that were sent to may send to it (address-restricted cone)",
    "eim": "keeps the port; only the very address and port that was sent to may answer (port-restricted cone)",
    "symmetric": "a new random port for each destination",
    "stateless": "as eim, but UDP comes back from relays' port 3478 alone",
    "relay-only": "as eim, but UDP goes out to relays' port 3478 alone",
    "blocked": "as eim, but no UDP at all",
    "off": "nothing of this address family passes",
}

TRANSLATING = [kind for kind in KINDS if kind not in ("open", "filter", "off")]
CLIENT_PORT = 52625


def rules(kind4, kind6, inside4, inside6, relays4, relays6):
    """The rule set of a router with interfaces "lan" and "wan" whose private network holds one host.

    It also counts the UDP that passes, by family and by whether the other end is a relay.

    The input hook drops what nobody asked for: an early probe of the peer would otherwise make a connection entry that
    ends at the router itself, the later probe from inside would get another port, and no hole could ever be punched.
    """
    forward, after, before, sets, count = [], [], [], [], []
    for family, kind, inside, address, letter in (("ipv4", kind4, inside4, "ip", "4"),
                                                   ("ipv6", kind6, inside6, "ip6", "6")):
        this = f"meta nfproto {family}"
        lan, wan = f'{this} iifname "lan"', f'{this} iifname "wan"'
        relays = ", ".join(relays4 if letter == "4" else relays6)
        sets += [f"counter relay{letter} {{}}", f"counter direct{letter} {{}}"]
        sets.append(f"set opened{letter} {{ type {family}_addr . inet_service; flags dynamic; }}")
        count.append(f'{lan} meta l4proto udp ct state new add @opened{letter} {{ {address} daddr . udp dport }}')
        count += [f"{address} {end} {{ {relays} }} meta l4proto udp counter name relay{letter} return"
                  for end in ("saddr", "daddr")]
        count.append(f"{this} meta l4proto udp counter name direct{letter}")
        if kind == "off":
            forward.append(f"{this} drop")
        elif kind == "open":
            forward.append(f"{this} accept")
        elif kind == "blocked":
            forward.append(f"{this} meta l4proto udp drop")
        elif kind == "relay-only":
            forward.append(f"{lan} udp dport != {RELAY_PORT} drop")
        elif kind == "stateless":
            forward.append(f"{wan} udp sport != {RELAY_PORT} drop")
        elif kind == "eim-addr":
            sets.append(f"set sent{letter} {{ type {family}_addr; flags dynamic,timeout; timeout 5m; }}")
            forward.append(f"{lan} meta l4proto udp update @sent{letter} {{ {address} daddr }}")
        if kind in ("eim-open", "eim-addr"):
            sent = f"{address} saddr @sent{letter} " if kind == "eim-addr" else ""
            before.append(f"{wan} {sent}udp dport {CLIENT_PORT} dnat {address} to {inside}")
            forward.append(f"{wan} udp dport {CLIENT_PORT} accept")
        if kind in TRANSLATING:
            how = " fully-random" if kind == "symmetric" else ""
            after.append(f'{this} oifname "wan" masquerade{how}')

    def chain(name, head, body):
        return f"chain {name} {{ {head}\n" + "".join(f"    {line}\n" for line in body) + "  }\n"

    return (
        "table inet lab\ndelete table inet lab\ntable inet lab {\n"
        + "".join(f"  {line}\n" for line in sets)
        + "  " + chain("loss", "", [])
        + "  " + chain("raw", "", [])
        + "  " + chain("count", "type filter hook forward priority -10; policy accept;", count)
        + "  " + chain("input", "type filter hook input priority 0; policy drop;",
                       ['iifname { "lo", "lan" } accept', "ct state established,related accept",
                        "meta l4proto { icmp, ipv6-icmp } accept"])
        + "  " + chain("forward", "type filter hook forward priority 0; policy drop;",
                       ["jump loss", "jump raw"] + forward
                       + ["ct state established,related accept", 'iifname "lan" accept',
                          "meta l4proto { icmp, ipv6-icmp } ct state related accept"])
        + "  " + chain("before", "type nat hook prerouting priority -100; policy accept;", before)
        + "  " + chain("after", "type nat hook postrouting priority 100; policy accept;", after)
        + "}\n"
    )


def loss_rules(percent):
    """Replaces the share of packets that a router loses on their way out. (netem is no part of every kernel.)"""
    text = "flush chain inet lab loss\n"
    if percent:
        text += f'add rule inet lab loss iifname "lan" numgen random mod 1000 < {round(percent * 10)} drop\n'
    return text
