#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run examples/stun-probe against a responder of a few lines: one server that answers, one that refuses, one that is
silent. Argument: the program."""
import socket
import struct
import subprocess
import sys
import threading

COOKIE = 0x2112A442


def responder(kind):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def answer():
        while kind != "silent":
            data, (ip, port) = sock.recvfrom(2048)
            if struct.unpack("!HHI", data[:8]) != (1, len(data) - 20, COOKIE):
                continue
            if kind == "mapped":
                value = struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16, int.from_bytes(socket.inet_aton(ip), "big") ^ COOKIE)
                kind_of, attr = 0x0101, struct.pack("!HH", 0x0020, 8) + value
            else:
                kind_of, attr = 0x0111, struct.pack("!HHI", 0x0009, 4, 5 << 8)
            sock.sendto(struct.pack("!HHI", kind_of, len(attr), COOKIE) + data[8:20] + attr, (ip, port))

    threading.Thread(target=answer, daemon=True).start()
    return "127.0.0.1:%d" % sock.getsockname()[1], sock


def run(*servers):
    done = subprocess.run([sys.argv[1], *servers], capture_output=True, text=True, timeout=25, check=False)
    print(done.stdout, done.stderr)
    return done


good, _good = responder("mapped")
bad, _bad = responder("refused")
silent, _silent = responder("silent")
done = run(good, good)
lines = done.stdout.splitlines()
assert done.returncode == 0 and len(lines) == 2, done
assert all(line.startswith(good + " sees us as 127.0.0.1:") for line in lines)
assert lines[0].split(" (")[0] == lines[1].split(" (")[0], "one socket, one mapping"
done = run(bad)
assert done.returncode == 1 and "error 500" in done.stdout
done = run(silent)
assert done.returncode == 1 and "does not answer" in done.stdout
assert run("example.org:3478").returncode == 2 and run().returncode == 1
