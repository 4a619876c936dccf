"""Three node processes: started, killed, started again, and what they use meanwhile."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from network import die_with_parent

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class Life:
    """One process of a node, from its start to its end."""

    def __init__(self, party, number, process):
        self.party, self.number, self.process = party, number, process
        self.started, self.ended = time.monotonic(), None
        self.samples = []  # (time, bytes resident, of these its own and not of a file, descriptors, threads, seconds of processor)


class Cluster:
    def __init__(self, program, directory, network, retention):
        self.program, self.directory, self.network = str(program), pathlib.Path(directory), network
        self.lives, self.current = [], {}
        self.lock = threading.Lock()
        init = ["cluster", "init", "--dir", str(directory)]
        init += ["--hosts", ",".join(network.hosts)] if network.hosts else ["--mesh-port", "27750", "--api-port", "27760"]
        self.run(*init)
        text = (self.directory / "cluster.toml").read_text()
        self.apis = [(host, int(port)) for host, port in re.findall(r'^api = "([^"]+):(\d+)"', text, re.M)]
        self.pins = re.findall(r'^certificate_sha256 = "([0-9a-f]{64})"', text, re.M)
        for party in range(3):
            settings = self.node_dir(party) / "node.toml"
            # What has ended is asked for at the end of the run.
            limits = f'[limits]\nretention = "{retention}"\nfinished_jobs = 100_000\n'
            text = settings.read_text()
            settings.write_text(re.sub(r"^\[limits\]\n", limits, text, flags=re.M) if "\n[limits]\n" in text else f"{text}\n{limits}")

    def run(self, *arguments):
        """A command of the program that has to succeed."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"trefoil {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def node_dir(self, party):
        return self.directory / f"node-{party}"

    def log(self, party):
        return self.directory / f"node-{party}.log"

    def audit(self, party):
        return self.node_dir(party) / "audit"

    def start(self, party):
        """Starts a node. From the main thread alone: a node ends with the thread that has started it."""
        config = self.node_dir(party) / "node.toml"
        with open(self.log(party), "ab") as log:
            process = subprocess.Popen(
                [*self.network.node_prefix(party), self.program, "node", "--config", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
            )
        with self.lock:
            life = Life(party, sum(l.party == party for l in self.lives), process)
            self.lives.append(life)
            self.current[party] = life
        return life

    def kill(self, party):
        """By SIGKILL: the process has no time for anything."""
        with self.lock:
            life = self.current.pop(party)
        at = time.monotonic()
        life.process.kill()
        life.process.wait()
        life.ended = time.monotonic()
        return at

    def dead(self):
        """Nodes that ended and nobody has killed, with their exit codes."""
        with self.lock:
            return {party: life.process.returncode for party, life in self.current.items() if life.process.poll() is not None}

    def sample(self):
        """Memory, descriptors, threads and processor time of each node that runs."""
        now = time.monotonic()
        with self.lock:
            running = list(self.current.values())
        for life in running:
            proc = pathlib.Path("/proc", str(life.process.pid))
            try:
                _, resident, shared, *_ = map(int, (proc / "statm").read_text().split())
                descriptors = len(os.listdir(proc / "fd"))
                fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError, ValueError):
                continue  # it has just ended
            life.samples.append((now, resident * PAGE, (resident - shared) * PAGE, descriptors, int(fields[17]), (int(fields[11]) + int(fields[12])) / TICKS))

    def sizes(self):
        """Bytes of the store and of the audit log of each node."""
        def size(path):
            return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.glob("*")) if path.is_dir() else 0
        return [(size(self.node_dir(p) / "store.redb"), size(self.audit(p))) for p in range(3)]

    def stop(self):
        """Ends what is left: in order first, and by force after a minute. Returns how each ended."""
        ends = {}
        for party, life in list(self.current.items()):
            if life.process.poll() is None:
                life.process.send_signal(signal.SIGTERM)
        for party, life in list(self.current.items()):
            try:
                life.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                life.process.kill()
                life.process.wait()
            life.ended = time.monotonic()
            ends[party] = life.process.returncode
        self.current = {}
        return ends
