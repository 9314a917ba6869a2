#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run examples/own-loop in a network namespace of its own against the development portal: it signs in, configures its
tunnel, and ends with its input. Arguments: the program, fz-devportal."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "devportal"))
from wsclient import Portal  # noqa: E402

SKIPPED = 77

if "FZ_INSIDE" not in os.environ:
    user = [] if os.geteuid() == 0 else ["-U", "-r"]
    namespace = ["unshare", *user, "-n", "-m"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode != 0 or not os.path.exists("/dev/net/tun"):
        print("no namespaces or no TUN device here")
        sys.exit(SKIPPED)
    os.environ["FZ_INSIDE"] = "1"
    os.execvp("unshare", [*namespace, sys.executable, *sys.argv])

program, devportal = sys.argv[1:3]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
portal = Portal(devportal, {
    "sites": [{"name": "HQ"}],
    "devices": [{"name": "c1", "role": "client", "token": "good-token"}],
    "resources": [{"type": "cidr", "name": "Lab", "address": "10.20.0.0/16", "site": "HQ"}],
    "relays": [],
})
try:
    env = dict(os.environ, FIREZONE_TOKEN="good-token")
    child = subprocess.Popen([program, "c1", f"ws://127.0.0.1:{portal.port}"], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = {child.stdout.readline().strip(), child.stdout.readline().strip()}
    assert seen == {"signed in", "tunnel ready"}, seen
    routes = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    assert "10.20.0.0/16 dev tun-firezone" in routes, routes
    child.stdin.close()
    assert child.wait(10) == 0, child.stdout.read()
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "tun-firezone" not in links, links

    env["FIREZONE_TOKEN"] = "bad-secret"
    child = subprocess.Popen([program, "c1", f"ws://127.0.0.1:{portal.port}"], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert child.wait(20) == 1
    said = child.stdout.read()
    assert "token" in said and "bad-secret" not in said, said
    assert subprocess.run([program], capture_output=True, check=False).returncode == 2
finally:
    portal.stop()
