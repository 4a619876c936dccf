"""Network namespaces for three nodes and their clients, and the relay between them."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
HOSTS = ["10.98.7.1", "10.98.7.2", "10.98.7.3"]
CLIENTS = "10.98.7.4"


class Unavailable(Exception):
    """This machine or this user cannot have namespaces."""


def die_with_parent():
    """In a child: it ends when the thread that started it does, and Ctrl-C at the terminal does not reach it."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Loopback:
    """No namespaces: three nodes on 127.0.0.1, without delay or loss."""

    hosts = None
    what = "loopback, no delay and no loss"

    def node_prefix(self, _):
        return []

    def impair(self, delay, loss):
        pass

    def stats(self):
        return None

    def close(self):
        pass


class Namespaces:
    """Four namespaces with a relay between them. The calling process, and what it starts from then on, is in that of the clients."""

    hosts = HOSTS

    def __init__(self, delay, loss, seed):
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root: run it with sudo, or give --no-namespaces for loopback without delay and loss")
        if not shutil.which("ip"):
            raise Unavailable("`ip` is missing: install iproute2, or give --no-namespaces")
        if not os.path.exists("/dev/net/tun"):
            raise Unavailable("/dev/net/tun is missing: load the module tun, or give --no-namespaces")
        self.what = (
            f"four network namespaces, one for each node and one for all clients; between any two of them {1000 * delay:g} ms delay in each direction "
            f"(round trip {2000 * delay:g} ms) and {100 * loss:g} % of all packets lost in each direction, by a relay in user space"
        )
        own = os.getpid()
        self.names = [f"trefoil-soak-{own}-{k}" for k in ("0", "1", "2", "clients")]
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.relay = None
        self.made = []
        try:
            for name in self.names:
                subprocess.run(["ip", "netns", "add", name], check=True)
                self.made.append(name)
                subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
            links = [f"{name}={address}" for name, address in zip(self.names, HOSTS + [CLIENTS])]
            relay = pathlib.Path(__file__).with_name("relay.py")
            self.relay = subprocess.Popen(
                [sys.executable, str(relay), str(seed), f"tsk{own % 1000000}x", *links],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
            )
            if self.relay.stdout.readline() != "ready\n":
                raise Unavailable("the relay did not start; what it says is above")
            self.enter(f"/run/netns/{self.names[3]}")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def enter(path):
        end = path if isinstance(path, int) else os.open(path, os.O_RDONLY)
        if LIBC.setns(end, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"enter the network namespace {path}")
        if end != path:
            os.close(end)

    def node_prefix(self, party):
        return ["ip", "netns", "exec", self.names[party]]

    def impair(self, delay, loss):
        self.relay.stdin.write(f"set {delay} {loss}\n")
        self.relay.stdin.flush()

    def stats(self):
        self.relay.stdin.write("stats\n")
        self.relay.stdin.flush()
        return json.loads(self.relay.stdout.readline())

    def close(self):
        self.enter(self.home)
        if self.relay:
            self.relay.kill()
            self.relay.wait()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)
        self.made = []
