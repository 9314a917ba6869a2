# SPDX-License-Identifier: Apache-2.0
"""Names: resources by name and the client's stub resolver, asked by the programs that people use."""
import ipaddress
import os
import re
import signal
import time

from . import net, services
from .checks import expect, get
from .scenarios import scenario

DNS = {"dns": "etc-resolv-conf"}
PROXIES = ipaddress.ip_network("100.96.0.0/24"), ipaddress.ip_network("fd00:2021:1111:8000::/120")
SENTINEL = "100.100.111.1"
SHORT = "dns"  # with the search domain: dns.httpbin.search.test


def run(lab, *argv, limit=30):
    return lab.hosts["client"].run(list(argv), check=False, timeout=limit)


def dig(lab, *words):
    """The whole output of dig: one try of at most 9 s."""
    return run(lab, "dig", "+time=9", "+tries=1", *words).stdout


def short(lab, *words):
    """The answers alone, in lines."""
    return dig(lab, "+short", *words).splitlines()


def status(text):
    found = re.search(r"status: (\w+)", text)
    return found.group(1) if found else "none"


def are_proxies(lines, count=4):
    """Are these that many addresses that stand for a name?"""
    return len(lines) == count and all(any(ipaddress.ip_address(line) in each for each in PROXIES) for line in lines)


def flush_time():
    """Answers for names of resources live one second."""
    time.sleep(1.1)


# --- 6: names of resources --------------------------------------------------------------------------------------------

@scenario("6.2", "ping and page by short name; getent, python and curl agree", **DNS)
def short_name(lab):
    expect(run(lab, "ping", "-n", "-c", "1", "-W", "5", SHORT).returncode == 0, f"no answer to ping of {SHORT}")
    get(lab, f"http://{SHORT}/get")
    get(lab, "http://download.httpbin/get")
    lines = run(lab, "getent", "ahosts", SHORT).stdout.split("\n")
    addresses = sorted({line.split()[0] for line in lines if line})
    expect(are_proxies(addresses, 8), f"getent says {addresses}")
    program = f"import socket; print(*sorted({{row[4][0] for row in socket.getaddrinfo('{SHORT}', 80)}}))"
    found = run(lab, "python3", "-c", program).stdout.split()
    expect(found == addresses, f"python says {found}, getent {addresses}")


@scenario("6.3", "names of resources have proxy addresses, others do not", **DNS)
def proxies(lab):
    expect(are_proxies(short(lab, "+search", SHORT)), "no proxy addresses of IPv4")
    expect(are_proxies(short(lab, "+search", SHORT, "AAAA")), "no proxy addresses of IPv6")


@scenario("6.4", "a name outside is asked outside", **DNS)
def outside(lab):
    answer = short(lab, "github.com")
    expect(answer == ["198.51.100.7"], f"github.com is {answer}")
    expect(status(dig(lab, "nobody.example")) == "REFUSED", "the outside server's word does not pass")


@scenario("6.5", "the gateway stops: no page", allowed=["gateway"], **DNS)
def gateway_stops(lab):
    get(lab, f"http://{SHORT}/get")
    lab.stop("gateway/gateway")
    done = run(lab, "curl", "-sS", "--max-time", "4", "-o", "/dev/null", f"http://{SHORT}/get")
    expect(done.returncode != 0, "a page came from nowhere")
    expect(are_proxies(short(lab, "+search", SHORT)), "the name is not answered without a gateway")
    services.gateway(lab)


@scenario("6.6", "the portal stops: names go on", allowed=["portal", "Portal", "phoenix"], **DNS)
def portal_stops(lab):
    get(lab, f"http://{SHORT}/get")
    lab.stop("portal/portal")
    flush_time()
    get(lab, f"http://{SHORT}/get")
    expect(are_proxies(short(lab, "+search", SHORT)), "no proxy addresses")
    expect(short(lab, "example.com") == ["198.51.100.8"], "no name of outside")


@scenario("6.7", "two names of two resources", **DNS)
def two_names(lab):
    for name in (SHORT, "iperf3.test"):
        expect(run(lab, "ping", "-n", "-c", "1", "-W", "5", name).returncode == 0, f"no answer to ping of {name}")


@scenario("6.19", "an address has the name that was asked for", **DNS)
def reverse(lab):
    first = short(lab, "alias.httpbin")[0]
    expect(short(lab, "-x", first) == ["alias.httpbin."], "dig knows no name of it")
    expect(run(lab, "getent", "hosts", first).stdout.split()[1:] == ["alias.httpbin"], "getent knows no name of it")


@scenario("6.21", "HTTPS records of a resource are empty, other types are asked outside", **DNS)
def other_types(lab):
    answer = dig(lab, "alias.httpbin", "HTTPS")
    expect(status(answer) == "NOERROR" and "ANSWER: 0" in answer, f"HTTPS:\n{answer}")
    expect(status(dig(lab, "alias.httpbin", "MX")) == "REFUSED", "MX was not asked outside")
    expect(status(dig(lab, "use-application-dns.net")) == "NXDOMAIN", "the canary lives")


@scenario("6.22", "SRV and TXT come from the site's name server, by UDP and TCP", **DNS)
def of_the_site(lab):
    for way in ("+notcp", "+tcp"):
        expect(short(lab, way, "txt.httpbin", "TXT") == ['"hello"'], f"TXT {way}")
        expect(short(lab, way, "_web._tcp.httpbin", "SRV") == ["0 0 80 download.httpbin."], f"SRV {way}")


@scenario("6.22-down", "SRV and TXT of a site without a gateway are an error, not silence",
          allowed=["gateway", "refused"], gateway="none", **DNS)
def site_is_down(lab):
    for way in ("+notcp", "+tcp"):
        answer = dig(lab, way, "txt.httpbin", "TXT")
        expect(status(answer) == "SERVFAIL", f"{way}:\n{answer}")


@scenario("6.44", "the portal's server is a resource: asked through the tunnel", **DNS)
def server_inside(lab):
    services.portal_ctl(lab, "set", f'upstream_do53=["{net.RES4}{net.DNS}"]')
    deadline = time.monotonic() + 10
    while SENTINEL in lab.hosts["client"].run(["cat", "/etc/resolv.conf"]).stdout:
        expect(time.monotonic() < deadline, "the sentinel does not change")
        time.sleep(0.1)
    for way in ("+notcp", "+tcp"):
        answer = short(lab, way, "web.lab")
        expect(answer == [f"{net.RES4}{net.WEB}"], f"web.lab {way} is {answer}")
    lab.stop("res/dnsmasq")
    expect(status(dig(lab, "other.lab")) == "SERVFAIL", "nobody listens there: an error is due")


@scenario("6.45", "answers are kept, and count down", **DNS)
def cache(lab):
    ttls = []
    for _ in range(2):
        ttls += [int(line.split()[1]) for line in dig(lab, "+noall", "+answer", "example.com").splitlines()]
        time.sleep(2.1)
    expect(ttls[0] == 60 and ttls[1] in (57, 58), f"TTLs are {ttls}")


@scenario("6.47", "the server is gone: an error in time, by UDP and TCP; and back", **DNS)
def server_gone(lab):
    server = lab.processes["internet/dnsmasq"].pid
    os.kill(server, signal.SIGSTOP)
    seconds = []
    try:
        for way in ("+notcp", "+tcp"):
            started = time.monotonic()
            answer = dig(lab, way, "github.com")
            seconds.append(time.monotonic() - started)
            expect(status(answer) == "SERVFAIL", f"{way}:\n{answer}")
            expect(seconds[-1] < 5, f"{way}: {seconds[-1]:.1f} s")
    finally:
        os.kill(server, signal.SIGCONT)
    expect(short(lab, "github.com") == ["198.51.100.7"], "the server is back, the name is not")
    lab.stop("internet/dnsmasq")
    started = time.monotonic()
    expect(status(dig(lab, "example.com")) == "SERVFAIL", "the port is closed: an error is due")
    return "errors after " + ", ".join(f"{each:.1f} s" for each in seconds + [time.monotonic() - started])


# --- 7: TCP, sizes ----------------------------------------------------------------------------------------------------

@scenario("7.1", "dig by TCP: search domain, a resource, a name outside", **DNS)
def by_tcp(lab):
    expect(are_proxies(short(lab, "+tcp", "+search", SHORT)), f"{SHORT} by TCP")
    expect(are_proxies(short(lab, "+tcp", "download.httpbin")), "download.httpbin by TCP")
    expect(short(lab, "+tcp", "example.com") == ["198.51.100.8"], "example.com by TCP")


@scenario("7.2", "a long answer is cut by UDP, and comes by TCP", **DNS)
def long_answer(lab):
    cut = dig(lab, "+ignore", "+bufsize=4096", services.LONG_NAME, "TXT")
    expect(" tc " in cut and "ANSWER: 0" in cut, f"by UDP:\n{cut}")
    whole = dig(lab, services.LONG_NAME, "TXT")
    expect("(TCP)" in whole and whole.count("x" * 200) == services.LONG_PARTS, f"by TCP:\n{whole}")


@scenario("7.3-many", "fifty queries at once by TCP, from several programs", **DNS)
def many_at_once(lab):
    program = ("for i in $(seq 50); do dig +tcp +short +time=9 +tries=1 host$i.httpbin & done; wait")
    lines = run(lab, "sh", "-c", program, limit=60).stdout.split()
    expect(are_proxies(sorted(set(lines)), 200), f"{len(set(lines))} addresses of 200")


# A listener must outlive those who say nothing, too much or nonsense, and those who leave half-way.
RUDE = f"""
import socket
def connect():
    return socket.create_connection(("{SENTINEL}", 53), 5)
idle = [connect() for _ in range(5)]
half = connect(); half.sendall(b"\\0\\x20abc"); half.shutdown(socket.SHUT_WR)
huge = connect(); huge.sendall(b"\\xff\\xff" + bytes(20000))
zero = connect(); zero.sendall(b"\\0\\0")
junk = connect(); junk.sendall(b"\\0\\x0c" + bytes([0xff]) * 12)
for each in (half, huge, zero, junk):
    each.settimeout(8)
    try:
        data = each.recv(100)
    except OSError:
        data = b""
    assert data == b"", data
print("closed")
"""


@scenario("7.6-rude", "connections that say nothing, too much or nonsense", **DNS)
def rude_clients(lab):
    done = run(lab, "python3", "-c", RUDE)
    expect(done.stdout.strip() == "closed", done.stderr)
    expect(are_proxies(short(lab, "+tcp", "download.httpbin")), "nobody is served any more")


@scenario("6.2-kill", "the client is killed and starts again: names work", **DNS)
def killed(lab):
    get(lab, f"http://{SHORT}/get")
    lab.stop("client/client", signal.SIGKILL)
    services.client(lab)
    get(lab, f"http://{SHORT}/get")


# Medians in microseconds of one query after the other: server, then names; "%d" is another number each time.
LOOKUPS = """
import socket, statistics, struct, sys, time
def query(i, name):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack(">6H", i, 0x100, 1, 0, 0, 0) + labels + bytes([0, 0, 1, 0, 1])
for word in sys.argv[1:]:
    server, name = word.split("=")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((server, 53))
        s.settimeout(5)
        times = []
        for i in range(500):
            data = query(i, name % i if "%d" in name else name)
            started = time.perf_counter()
            s.send(data)
            answer = s.recv(2000)
            times.append(time.perf_counter() - started)
            assert answer[:2] == data[:2] and answer[3] & 15 == 0 and answer[7] > 0, (name, answer)
    print(round(statistics.median(times) * 1e6))
"""


@scenario("names-figures", "look-ups by the stub and by dnsmasq next door, in one run", **DNS)
def figures(lab):
    lab.start("client", "dnsmasq", ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces",
                                    "--conf-file=/dev/null", "--pid-file=", "--cache-size=10000",
                                    "--listen-address=127.0.0.1", f"--server={net.NET4}1",
                                    "--address=/download.httpbin/192.0.2.1"],
              ready=lambda: lab.hosts["client"].listens("udp", 53))
    asked = [f"{server}={name}" for name in ("example.com", "download.httpbin", "%d.example.com")
             for server in (SENTINEL, "127.0.0.1")]
    done = run(lab, "python3", "-c", LOOKUPS, *asked, limit=60)
    expect(done.returncode == 0, done.stderr)
    ours = done.stdout.split()[::2]
    theirs = done.stdout.split()[1::2]
    return ", ".join(f"{what} {a} (dnsmasq {b}) us" for what, a, b in zip(("kept", "own", "asked outside"), ours, theirs))
