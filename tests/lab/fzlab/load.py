# SPDX-License-Identifier: Apache-2.0
"""Downloads whose bytes are read here, so that it is known when they came."""
import os
import select
import subprocess
import time

from .checks import expect


class Load:
    """curl on a host of the laboratory. What it receives are zeros, and is counted."""

    def __init__(self, lab, host, url, size, rate):
        self.host, self.size = host, size
        self.got, self.wrong, self.arrivals, self.ended = 0, False, [], False
        self.child = lab.hosts[host].popen(
            ["curl", "-sS", "--no-buffer", "--connect-timeout", "10", "--keepalive-time", "1",
             f"{url}/bytes?num={size}&rate={rate}&chunk={rate // 100}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def take(self):
        """Takes what has arrived; to be called when there is something."""
        data = os.read(self.child.stdout.fileno(), 1 << 18)
        self.ended = not data
        if data:
            self.got += len(data)
            self.wrong |= data.count(0) != len(data)
            self.arrivals.append(time.monotonic())

    def longest_pause(self, since):
        """Seconds: the longest time without a byte, from some time on."""
        times = [since] + [each for each in self.arrivals if each > since]
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0)

    def finish(self, limit=30):
        """Waits for the end, which must be a good one."""
        watch([self], limit, lambda: self.ended)
        expect(self.ended, f"{self.host}'s download has {self.got} of {self.size} bytes, and none came to an end"
                           f" within {limit} s")
        words = self.child.communicate()[1].decode(errors="replace").strip()
        expect(self.child.returncode == 0 and self.got == self.size and not self.wrong,
               f"{self.host}'s download: {self.got} of {self.size} bytes, curl says: {words or 'nothing'}")

    def stop(self):
        self.child.kill()
        self.child.communicate()


def watch(loads, seconds, until=lambda: False):
    """Lets downloads go on for so long, or until something is true."""
    end = time.monotonic() + seconds
    while not until() and (left := end - time.monotonic()) > 0:
        running = {load.child.stdout.fileno(): load for load in loads if not load.ended}
        for fd in select.select(list(running), [], [], min(left, 0.05))[0]:
            running[fd].take()
