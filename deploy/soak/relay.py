"""Carries packets between network namespaces, late and with losses, as a hub between machines would.

What netem of the kernel does, for kernels without it: each namespace has a TUN device whose other end is here. A packet for an address of another namespace is
dropped with the probability that is set, or else handed over when the delay has passed. Both are for one direction: a round trip takes two delays.
Runs as a process of its own, so that the threads of the soak do not hold it up; it is told by lines on its standard input what to do:

    set DELAY_SECONDS LOSS      from now on
    stats                       prints a line of JSON
"""

import collections
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# Packets that wait in the kernel until they are read here. With the usual 500 a burst of one session would be lost, and not by the loss that was asked for.
QUEUE = "20000"
# Packets taken from one device before the others have their turn.
TURN = 64


def open_tun(name):
    """A TUN device of this name, and its end here. It goes when that is closed."""
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return end


def attach(namespace, device, address):
    """Makes the device the way from a namespace to the others."""
    end = open_tun(device)
    for step in (
        ["ip", "link", "set", device, "netns", namespace],
        ["ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device],
        ["ip", "-n", namespace, "link", "set", device, "txqueuelen", QUEUE, "mtu", "1500", "up"],
    ):
        subprocess.run(step, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return end


class Relay:
    def __init__(self, ends, seed):
        self.ends = ends  # by the last byte of the address
        self.random = random.Random(seed).random
        self.delay, self.loss = 0.0, 0.0
        self.waiting = collections.deque()
        self.count = dict(packets=0, bytes=0, lost=0, stray=0, refused=0, most_waiting=0, latest_seconds=0.0)

    def run(self):
        poll = select.epoll()
        for end in self.ends.values():
            poll.register(end, select.EPOLLIN)
        poll.register(0, select.EPOLLIN)
        commands = b""
        while True:
            timeout = -1 if not self.waiting else max(0.0, self.waiting[0][0] - time.monotonic())
            for end, _ in poll.poll(timeout):
                if end:
                    self.take(end)
                    continue
                read = os.read(0, 4096)
                if not read:
                    return
                *lines, commands = (commands + read).split(b"\n")
                for line in lines:
                    self.command(line.decode().split())
            self.give()

    def command(self, words):
        if words[0] == "set":
            self.delay, self.loss = float(words[1]), float(words[2])
        else:
            print(json.dumps(self.count | {"cpu_seconds": time.process_time()}), flush=True)

    def take(self, end):
        due = time.monotonic() + self.delay
        for _ in range(TURN):
            try:
                packet = os.read(end, 65536)
            except BlockingIOError:
                return
            self.count["packets"] += 1
            self.count["bytes"] += len(packet)
            to = self.ends.get(packet[19]) if packet[0] >> 4 == 4 else None
            if to is None:
                self.count["stray"] += 1  # IPv6 neighbours and the like
            elif self.random() < self.loss:
                self.count["lost"] += 1
            else:
                self.waiting.append((due, to, packet))

    def give(self):
        waiting, now = self.waiting, time.monotonic()
        self.count["most_waiting"] = max(self.count["most_waiting"], len(waiting))
        while waiting and waiting[0][0] <= now:
            due, to, packet = waiting.popleft()
            self.count["latest_seconds"] = max(self.count["latest_seconds"], now - due)
            try:
                os.write(to, packet)
            except OSError:
                self.count["refused"] += 1  # the other end has no room


def main():
    # NAMESPACE=ADDRESS ..
    seed, prefix, *links = sys.argv[1:]
    ends = {}
    for k, link in enumerate(links):
        namespace, address = link.split("=")
        ends[int(address.rsplit(".", 1)[1])] = attach(namespace, f"{prefix}{k}", address)
    print("ready", flush=True)
    Relay(ends, int(seed)).run()


if __name__ == "__main__":
    main()
