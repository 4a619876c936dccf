#!/usr/bin/env python3
"""Drives a cluster of three nodes for a while, as many clients would, while its nodes are killed one after the other and its network is slow and loses packets.
Compares every result with plain computation. README.md says what is counted, and how to read the report."""

import argparse
import collections
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

import report
from api import Refused, Wrong
from cluster import Cluster
from ending import settle
from network import Loopback, Namespaces, Unavailable
from work import Client, Failed, Hung, Shared

# Of a hundred jobs. Training takes hundreds of rounds, so it is rare.
MIX = {"aes": 30, "score": 25, "login": 25, "api-aes": 17, "train": 3}
SAMPLE_EVERY = 5.0
READY_WITHIN = 60.0
REST = 15.0
# What failed is tried once more after this: by then a node that was killed is usually back.
AGAIN_AFTER = 8.0


def arguments():
    def share(text):
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)

    def seconds(text):
        return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", required=True, type=pathlib.Path, metavar="PATH", help="the trefoil program")
    p.add_argument("--minutes", type=float, default=20, help="how long, after the preparation (default 20)")
    p.add_argument("--clients", type=int, default=50, help="client identities (default 50)")
    p.add_argument("--in-flight", type=int, default=8, help="jobs under way at the same time, of all clients (default 8)")
    p.add_argument("--pause", type=seconds, default=6, help="mean pause of a client between two jobs (default 6s)")
    p.add_argument("--kill-every", type=seconds, default=60, help="a node is killed so often; 0: never (default 60s)")
    p.add_argument("--down", type=seconds, default=3, help="how long it stays down (default 3s)")
    p.add_argument("--spare", type=int, choices=[0, 1, 2], help="never kill this node, so that one process is seen for the whole time")
    p.add_argument("--loss", type=share, default=0.01, help="part of the packets lost, in each direction between any two namespaces (default 1%%)")
    p.add_argument("--delay", type=seconds, default=0.02, help="delay, in each direction (default 20ms)")
    p.add_argument("--patience", type=seconds, default=180, help="a command that takes longer has hung (default 180s)")
    p.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="where the report goes, and the nodes' logs if something was wrong")
    p.add_argument("--seed", type=int, default=1, help="of the jobs and the losses; keys and challenges are drawn anew each time (default 1)")
    p.add_argument("--label", default="", help="what was measured, for the report: a commit")
    p.add_argument("--note", default="", help="what else the machine was doing, for the report")
    p.add_argument("--keep", action="store_true", help="leave the cluster's directory, whatever comes out")
    p.add_argument("--no-namespaces", action="store_true", help="loopback, without delay and loss; needs no root")
    return p.parse_args()


class Soak:
    def __init__(self, args, network, directory):
        self.args, self.network, self.directory = args, network, directory
        self.records, self.kills, self.sizes, self.loads, self.troubles = [], [], [], [], []
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.places = threading.Semaphore(args.in_flight)

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def prepare(self):
        """Without delay and loss: what is measured comes afterwards."""
        a = self.args
        self.cluster = Cluster(a.program, self.directory / "cluster", self.network, f"{int(a.minutes) + 120}m")
        scratch = self.directory / "work"
        scratch.mkdir()
        self.shared = Shared(self.cluster, scratch, a.seed, a.patience)
        self.clients = [Client(self.shared, k) for k in range(1, a.clients + 1)]
        for party in range(3):
            self.cluster.start(party)
        self.watch = self.clients[0].api
        if self.ready_after(time.monotonic()) is None:
            raise RuntimeError("the cluster is not ready after a minute; see the nodes' logs")
        self.say("the cluster is ready; sharing a table, training")
        self.shared.prepare_credit([c.name for c in self.clients])
        self.say(f"enrolling {a.clients} users")
        faults, left = [], list(self.clients)

        def enrol():
            while left and not faults:
                try:
                    left.pop().enrol()
                except IndexError:
                    return
                except Exception as error:  # is raised below
                    faults.append(error)
        threads = [threading.Thread(target=enrol) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if faults:
            raise faults[0]

    def ready_after(self, since):
        """Seconds until all three nodes are ready, or `None` if they are not after a minute."""
        while time.monotonic() < since + READY_WITHIN:
            if not self.cluster.dead() and all(self.watch.ready(p) for p in range(3)):
                return time.monotonic() - since
            time.sleep(0.2)
        return None

    def run(self):
        a = self.args
        time.sleep(REST)
        self.cluster.sample()
        self.rest_before = {life.party: life.samples[-1][2] for life in self.cluster.current.values() if life.samples}
        self.network.impair(a.delay, a.loss)
        self.relay_before = self.network.stats()
        self.ping = ping(self.network)
        self.begin, self.begun_at = time.monotonic(), time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self.cpu_before = cpu()
        threads = [threading.Thread(target=self.sampler), *(threading.Thread(target=self.client, args=(c,)) for c in self.clients)]
        for t in threads:
            t.start()
        try:
            self.schedule(self.begin + 60 * a.minutes)
        finally:
            self.stop.set()
            for t in threads:
                t.join()
        self.end = time.monotonic()
        # What is kept when nothing is under way any more; on a machine with other work it takes its time to be given back.
        time.sleep(REST)
        self.cluster.sample()
        self.rest = {life.party: (life.number, life.samples[-1][2]) for life in self.cluster.current.values() if life.samples}
        self.cpu_after, self.relay_after = cpu(), self.network.stats()

    def schedule(self, end):
        """Kills one node after the other."""
        parties = [p for p in range(3) if p != self.args.spare]
        turn, following = 0, self.begin + (self.args.kill_every or 1e9)
        while (now := time.monotonic()) < end:
            for party, code in self.cluster.dead().items():
                self.trouble(f"P{party} ended by itself with exit code {code}")
                self.cluster.kill(party)
                self.cluster.start(party)
            if now >= following and now < end - self.args.down - 10:
                self.kill(parties[turn % len(parties)])
                turn, following = turn + 1, following + self.args.kill_every
            time.sleep(0.2)

    def kill(self, party):
        killed = self.cluster.kill(party)
        # Until the end is known, everything from here on is within it.
        record = {"party": party, "at": killed, "until": float("inf")}
        self.kills.append(record)
        time.sleep(self.args.down)
        record["restarted"] = time.monotonic()
        self.cluster.start(party)
        took = self.ready_after(record["restarted"])
        record["until"], record["ready"] = time.monotonic(), took
        if took is None:
            self.trouble(f"P{party} was killed and started again, and a minute later the nodes were not all ready")
        done = collections.Counter(r["outcome"] for r in self.records)
        self.say(f"P{party} killed, ready again {took if took is None else round(took, 2)} s after its start; so far {dict(done)}")

    def trouble(self, text):
        self.say(text)
        self.troubles.append({"at": time.monotonic() - self.begin, "what": text})

    def sampler(self):
        while not self.stop.wait(SAMPLE_EVERY):
            self.cluster.sample()
            self.sizes.append((time.monotonic(), self.cluster.sizes()))
            self.loads.append(os.getloadavg()[0])

    def client(self, client):
        """One job after the other, with pauses. What failed is tried once more, as a new job."""
        r = client.random
        kinds, weights = zip(*MIX.items())
        self.stop.wait(r.uniform(0, self.args.pause))
        while not self.stop.is_set():
            kind = r.choices(kinds, weights)[0]
            if self.job(client, kind, again=False) == "failed" and not self.stop.wait(AGAIN_AFTER):
                self.job(client, kind, again=True)
            self.stop.wait(r.expovariate(1 / self.args.pause) if self.args.pause else 0)

    def job(self, client, kind, again):
        with self.places:
            if self.stop.is_set():
                return "none"
            if kind == "login" and client.impostor_next:
                kind = "stranger"
            record = {"kind": kind, "client": client.name, "again": again, "start": time.monotonic(), "cause": ""}
            try:
                getattr(client, {"stranger": "login", "api-aes": "api_aes"}.get(kind, kind))()
                record["outcome"] = "right"
            except Wrong as error:
                record["outcome"], record["cause"] = "wrong", str(error)
            except Hung as error:
                record["outcome"], record["cause"] = "hung", str(error)
            except (Failed, Refused) as error:
                record["outcome"], record["cause"] = "failed", str(error)
            except Exception as error:  # a fault of this script, or output that cannot be read
                record["outcome"], record["cause"] = "wrong", f"{type(error).__name__}: {error}"
            record["end"] = time.monotonic()
        with self.lock:
            self.records.append(record)
        if record["outcome"] in ("wrong", "hung"):
            self.say(f"{record['outcome']}: {kind} of {client.name}: {record['cause']}")
        return record["outcome"]


def ping(network):
    """Median time of a TCP handshake with a node that listens, in milliseconds: what a round trip takes."""
    import socket
    if not network.hosts:
        return None
    times = []
    for k in range(9):
        start = time.monotonic()
        try:
            socket.create_connection((network.hosts[k % 3], 7760), timeout=5).close()
        except OSError:
            continue
        times.append(1000 * (time.monotonic() - start))
    return sorted(times)[len(times) // 2] if times else None


def cpu():
    """Of the whole machine, in ticks: busy and all."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields), fields[7]


def main():
    args = arguments()
    if not shutil.which("openssl"):
        sys.exit("soak: `openssl` is missing, with which ciphertexts are compared")
    args.program = args.program.resolve()
    if not os.access(args.program, os.X_OK):
        sys.exit(f"soak: --program {args.program} is no program")
    args.out.mkdir(parents=True, exist_ok=True)
    # So that everything below is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="trefoil-soak-"))
    network, soak, code = None, None, 3
    try:
        network = Loopback() if args.no_namespaces else Namespaces(args.delay, args.loss, args.seed)
        soak = Soak(args, network, directory)
        soak.prepare()
        soak.say(f"{args.minutes:g} minutes begin")
        soak.run()
        soak.say("the last job has ended; asking for those whose names were kept")
        settle(soak)
        code = report.write(soak)
    except (Unavailable, RuntimeError, Failed, Hung, Wrong) as error:
        print(f"soak: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("soak: interrupted; nothing is reported", file=sys.stderr)
        code = 130
    finally:
        if soak and hasattr(soak, "cluster"):
            soak.stop.set()
            soak.cluster.stop()
        if network:
            network.close()
        if code in (0, 130) and not args.keep:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"soak: the cluster's files are in {directory}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
