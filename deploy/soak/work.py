"""What the clients do: jobs through the program's commands and through the API, each result compared with plain computation."""

import base64
import json
import random
import secrets
import subprocess
import threading

import plain
from api import Api, Refused, Wrong, aes_job, problem, put_together

ORIGIN, RP = "https://login.example.org", "example.org"
# A score is within 1e-4 of that of plain computation (docs/credit.md); scores are printed with six digits.
TOLERANCE = 1e-4 + 1e-6
ROWS = 300


class Failed(Exception):
    """A job that did not come to a result, with its cause."""


class Hung(Exception):
    """A command that had to be ended."""


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Shared:
    """What all clients work with: the cluster, the model, secrets that must appear nowhere, and jobs whose names are kept."""

    def __init__(self, cluster, scratch, seed, patience):
        self.cluster, self.scratch, self.seed, self.patience = cluster, scratch, seed, patience
        self.lock = threading.Lock()
        self.secrets = {}  # what it is -> bytes
        self.kept = []  # of jobs that nobody deletes: what was told of them
        self.largest_error = 0.0
        self.texts = []  # what commands said on standard error

    def secret(self, what, data):
        with self.lock:
            self.secrets[what] = data

    def command(self, *arguments, secret_free=True):
        """A command of the program, as a user runs it."""
        process = subprocess.Popen(
            [self.cluster.program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=self.patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Hung(f"`trefoil {' '.join(map(str, arguments[:2]))}` was ended after {self.patience} s") from None
        text = err.decode(errors="replace").strip()
        with self.lock:
            self.texts.append(text)
        if process.returncode:
            raise Failed(f"exit code {process.returncode}: {text}")
        return out

    def at(self, name):
        return ["--cluster", self.cluster.directory / "cluster.toml", "--identity", self.cluster.directory / f"{name}.crt"]

    def prepare_credit(self, names):
        """A bank shares a table, `lead` trains on it and has the model shared for all clients."""
        r = random.Random(self.seed)
        for name in ("bank", "lead"):
            self.cluster.run("cluster", "client", "--dir", str(self.cluster.directory), "--name", name)
        self.customers = [plain.customer(r) for _ in range(ROWS)]
        odds = [-1 + c[0] - 0.3 * c[1] + 0.1 * c[2] + 0.5 * (c[3] == "rent") for c in self.customers]
        self.labels = [int(r.random() < plain.probability(z)) for z in odds]
        for name, text in (("train.toml", plain.SCHEMA + plain.LABEL), ("score.toml", plain.SCHEMA), ("train.csv", plain.csv_of(self.customers, self.labels))):
            (self.scratch / name).write_text(text)
        self.moments = self.scratch / "moments.json"
        self.command(
            "credit", "share", *self.at("bank"), "--schema", self.scratch / "train.toml", "--data", self.scratch / "train.csv", "--table", "loans",
            "--own-moments", self.moments, "--analyst", "lead", "--model-to", "lead",
        )
        self.model = self.train("model.json", iterations=8)
        self.first_step = self.train("step.json", iterations=1)
        moments = json.loads(self.moments.read_text())
        due = plain.newton(self.customers, self.labels, moments)
        got = [self.model["intercept"], *self.model["weights"]]
        self.training_error = max(abs(x - y) for x, y in zip(due, got))
        if self.training_error > 0.002:
            raise Wrong(f"a coefficient is {self.training_error} off plain computation: {got} for {due}")
        self.secret("weights of the model", json.dumps(self.model["weights"]).encode())
        listed = ",".join(names)
        self.command(
            "credit", "share", *self.at("lead"), "--model", self.scratch / "model.json", "--table", "card", "--analyst", listed,
            "--scores-to", listed, "--scores", "number",
        )

    def train(self, name, iterations):
        out = self.scratch / name
        self.command(
            "credit", "train", *self.at("lead"), "--tables", "bank/loans", "--moments", self.moments, "--release-to", "lead", "--out", out, "--iterations", iterations
        )
        return json.loads(out.read_text())


class Client:
    """One identity, one of its jobs at a time."""

    def __init__(self, shared, number):
        self.shared, self.name = shared, f"c{number:02}"
        self.random = random.Random(f"{shared.seed} {self.name}")
        self.directory = shared.scratch / self.name
        self.directory.mkdir()
        shared.cluster.run("cluster", "client", "--dir", str(shared.cluster.directory), "--name", self.name)
        self.api = Api(shared.cluster, shared.cluster.directory / self.name)
        self.user, self.count, self.files = f"u-{self.name}", 0, 0
        self.impostor_next = False
        self.seed = 1000 + 10 * number + 100_000 * (shared.seed % 1000)

    def file(self, suffix):
        self.files += 1
        return self.directory / f"{self.files}.{suffix}"

    def sample(self, name, seed, *more):
        path = self.directory / name
        self.shared.command("auth", "sample", "--seed", seed, *more, "--out", path)
        return path

    def enrol(self):
        """A template of this client's user, and a device that it registers."""
        own = self.sample("own.iris", self.seed)
        self.probes = [self.sample(f"probe-{k}.iris", self.seed, "--noise", 0.2, "--turned", k) for k in range(3)]
        self.strangers = [self.sample(f"stranger-{k}.iris", self.seed + 1 + k) for k in range(2)]
        self.shared.secret(f"template of {self.user}", own.read_bytes()[:64])
        self.shared.secret(f"probe of {self.user}", self.probes[0].read_bytes()[:64])
        self.shared.command("auth", "enrol", *self.shared.at(self.name), "--user", self.user, "--template", "left", "--iris", own)
        options = {
            "rp": {"id": RP, "name": "Example"}, "challenge": base64url(secrets.token_bytes(32)),
            "user": {"id": base64url(secrets.token_bytes(16)), "name": self.user, "displayName": self.user},
            "pubKeyCredParams": [{"type": "public-key", "alg": -257}],
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
        }
        asked = self.directory / "creation.json"
        asked.write_text(json.dumps(options))
        self.device = self.directory / "device.json"
        answer = json.loads(self.shared.command(
            "auth", "register", *self.shared.at(self.name), "--user", self.user, "--options", asked, "--origin", ORIGIN, "--iris", own, "--device", self.device
        ))
        self.credential = {"id": answer["id"], "public": plain.rsa_public(plain.unbase64(answer["response"]["publicKey"]))}
        self.shared.secret(f"device share of {self.user}", bytes.fromhex(json.loads(self.device.read_text())["share"])[-64:])

    def aes(self):
        key, counter = self.key()
        text = secrets.token_bytes(self.random.choice([1, 16, 1000, 4096, 20_000, 60_000]))
        source, target, secret = self.file("in"), self.file("out"), self.file("key")
        source.write_bytes(text)
        secret.write_bytes(key)
        mode = self.random.choice(["malicious", "malicious", "malicious", "semi-honest"])
        try:
            self.shared.command(
                "aes", *self.shared.at(self.name), "--key-file", secret, "--iv", counter.hex(), "--encrypt", "--in", source, "--out", target, "--mode", mode
            )
            if target.read_bytes() != plain.aes_ctr(key, counter, text):
                raise Wrong(f"AES-{8 * len(key)} of {len(text)} bytes, {mode}: another ciphertext than OpenSSL's")
        finally:
            for path in (source, target, secret):
                path.unlink(missing_ok=True)

    def key(self):
        key, counter = secrets.token_bytes(self.random.choice([16, 24, 32])), secrets.token_bytes(16)
        self.shared.secret(f"AES key {key[:2].hex()}.. of {self.name}", key)
        return key, counter

    def score(self):
        customers = [plain.customer(self.random) for _ in range(self.random.choice([1, 5, 40]))]
        source, target = self.file("csv"), self.file("scores")
        source.write_text(plain.csv_of(customers))
        try:
            self.shared.command(
                "credit", "score", *self.shared.at(self.name), "--model-table", "lead/card", "--moments", self.shared.moments,
                "--schema", self.shared.scratch / "score.toml", "--data", source, "--tell", "decision,probability", "--out", target,
            )
            rows = [line.split(",") for line in target.read_text().splitlines()]
            self.compare(rows, customers)
        finally:
            for path in (source, target):
                path.unlink(missing_ok=True)

    def compare(self, rows, customers):
        head, rows = rows[0], rows[1:]
        if len(rows) != len(customers):
            raise Wrong(f"{len(rows)} scores of {len(customers)} customers")
        for row, customer in zip(rows, customers):
            told, due = dict(zip(head, row)), plain.probability(plain.logit(self.shared.model, customer))
            error = abs(float(told["probability"]) - due)
            self.shared.largest_error = max(self.shared.largest_error, error)
            sure = abs(due - 0.5) > TOLERANCE
            if error > TOLERANCE or sure and told["decision"] != ("bad" if due >= 0.5 else "good"):
                raise Wrong(f"score {told} for {customer}, by plain computation {due}")

    def train(self):
        """One step of Newton's method: eight take most of a minute at a round trip of 40 ms, and a node is killed before."""
        name = f"{self.name}-model-{self.files}.json"
        self.files += 1
        try:
            model = self.shared.train(name, iterations=1)
            for part in ("intercept", "weights"):
                if model[part] != self.shared.first_step[part]:
                    raise Wrong(f"training has given other coefficients than before: {part} {model[part]} for {self.shared.first_step[part]}")
        finally:
            (self.shared.scratch / name).unlink(missing_ok=True)

    def login(self):
        """Every fourth or so a stranger's iris, after a genuine login alone, so that no user is ever locked by them."""
        if self.impostor_next:
            self.impostor_next = False
            return self.attempt(self.random.choice(self.strangers), genuine=False)
        self.attempt(self.random.choice(self.probes), genuine=True)
        self.impostor_next = self.random.random() < 0.3

    def attempt(self, probe, genuine):
        challenge, asked = base64url(secrets.token_bytes(32)), self.file("json")
        asked.write_text(json.dumps({"challenge": challenge, "rpId": RP, "userVerification": "required"}))
        try:
            out = self.shared.command("auth", "login", *self.shared.at(self.name), "--device", self.device, "--options", asked, "--origin", ORIGIN, "--iris", probe)
        except Failed as error:
            no_match = "does not match" in str(error)
            if no_match and genuine:
                raise Wrong(f"the right iris of {self.user} was refused: {error}") from None
            if no_match:
                return
            raise
        finally:
            asked.unlink(missing_ok=True)
        if not genuine:
            raise Wrong(f"a stranger's iris was accepted for {self.user}")
        fault, count = plain.assertion_fault(json.loads(out), self.credential, challenge, self.count)
        if fault:
            raise Wrong(f"the assertion for {self.user} has {fault}")
        self.count = count

    def api_aes(self):
        """A job through the API whose name is kept: what each node has said of it has to hold at the end of the run."""
        key, counter = self.key()
        blocks, job = self.random.choice([1, 8, 64]), secrets.token_hex(16)
        bodies = aes_job(key, counter, blocks, "malicious")
        record = {
            "job": job, "client": self.name, "acknowledged": [], "done": [], "fetched": False, "deleted": False,
            "due": plain.aes_ctr(key, counter, bytes(16 * blocks)).hex(),
        }
        with self.shared.lock:
            self.shared.kept.append(record)
        for party, body in enumerate(bodies):
            status, answer = self.api.ask(party, "PUT", f"/v1/jobs/{job}", body)
            if status not in (200, 202):
                raise Failed(f"P{party}: status {status}: {problem(answer)}")
            record["acknowledged"].append(party)
        for party in range(3):
            state = self.wait(party, job)
            if state["state"] == "failed":
                raise Failed(f"P{party}: {state['failure']['kind']}: {state['failure']['cause']}")
            record["done"].append(party)
        if put_together([self.api.output(party, job) for party in range(3)]).hex() != record["due"]:
            raise Wrong(f"job {job}: another key stream than OpenSSL's")
        record["fetched"] = True
        # Most are deleted, as clients should; what a node keeps for the others is no leak.
        if self.random.random() < 0.6:
            record["deleted"] = True
            for party in range(3):
                self.api.ask(party, "DELETE", f"/v1/jobs/{job}")

    def wait(self, party, job):
        for _ in range(6):
            state = self.api.state(party, job, wait=20)
            if state is None:
                raise Failed(f"P{party}: acknowledged a job and knows none of this name")
            if state["state"] in ("done", "failed"):
                return state
        raise Hung(f"P{party}: a job is {state['state']} after two minutes")
