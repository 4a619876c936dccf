"""The same results by plain computation: what the nodes' results are compared with."""

import base64
import hashlib
import json
import math
import subprocess

FEATURES = ["a", "b", "c", "home=other", "home=rent"]
SCHEMA = """format = 1

[[column]]
name = "a"
type = "number"
min = -10
max = 10

[[column]]
name = "b"
type = "number"
min = -30
max = 30

[[column]]
name = "c"
type = "number"
min = 0
max = 10

[[column]]
name = "home"
type = "category"
levels = ["other", "own", "rent"]
reference = "own"
"""
LABEL = """
[[column]]
name = "bad"
type = "label"
bad = "1"
good = "0"
"""


def aes_ctr(key, counter, text):
    """AES in counter mode by OpenSSL."""
    command = ["openssl", "enc", f"-aes-{8 * len(key)}-ctr", "-K", key.hex(), "-iv", counter.hex(), "-nosalt"]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


def customer(random):
    return [round(random.gauss(0, 1), 4), round(random.gauss(2, 3), 4), round(random.uniform(0, 10), 4), random.choice(["other", "own", "rent"])]


def csv_of(customers, labels=None):
    head = ["a", "b", "c", "home"] + (["bad"] if labels else [])
    rows = [c + ([labels[k]] if labels else []) for k, c in enumerate(customers)]
    return "\n".join(",".join(str(v) for v in row) for row in [head] + rows) + "\n"


def features(customer):
    a, b, c, home = customer
    return [a, b, c, float(home == "other"), float(home == "rent")]


def standardized(customer, moments):
    return [(x - m) / s for x, m, s in zip(features(customer), moments["mean"], moments["sd"])]


def logit(model, customer):
    z = standardized(customer, model["moments"])
    return model["intercept"] + sum(w * x for w, x in zip(model["weights"], z))


def probability(z):
    return 1 / (1 + math.exp(-z))


def newton(customers, labels, moments, penalty=1.0, steps=25):
    """Logistic regression with an L2 penalty on the weights, not on the intercept: intercept and weights."""
    rows = [[1.0] + standardized(c, moments) for c in customers]
    n, w = len(rows[0]), [0.0] * len(rows[0])
    for _ in range(steps):
        slope = [penalty * w[i] * (i > 0) for i in range(n)]
        curve = [[penalty * (i == j and i > 0) for j in range(n)] for i in range(n)]
        for row, label in zip(rows, labels):
            p = probability(sum(x * y for x, y in zip(w, row)))
            for i in range(n):
                slope[i] += (p - label) * row[i]
                for j in range(n):
                    curve[i][j] += p * (1 - p) * row[i] * row[j]
        w = [x - d for x, d in zip(w, solve(curve, slope))]
    return w


def solve(a, b):
    a = [row + [x] for row, x in zip(a, b)]
    n = len(a)
    for i in range(n):
        p = max(range(i, n), key=lambda r: abs(a[r][i]))
        a[i], a[p] = a[p], a[i]
        for r in range(n):
            if r != i:
                f = a[r][i] / a[i][i]
                a[r] = [x - f * y for x, y in zip(a[r], a[i])]
    return [a[i][n] / a[i][i] for i in range(n)]


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def rsa_public(spki):
    """Modulus and exponent of an RSA key in the form SubjectPublicKeyInfo, DER."""
    def element(data, at):
        length, start = data[at + 1], at + 2
        if length & 0x80:
            k = length & 0x7F
            length, start = int.from_bytes(data[start:start + k], "big"), start + k
        return data[start:start + length], start + length
    outer, _ = element(spki, 0)
    _, at = element(outer, 0)
    bits, _ = element(outer, at)
    pair, _ = element(bits, 1)
    modulus, at = element(pair, 0)
    exponent, _ = element(pair, at)
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def rs256(public, message, signature):
    """Whether it is the signature of the message: PKCS #1 v1.5 with SHA-256, compared as a whole."""
    modulus, exponent = public
    size = (modulus.bit_length() + 7) // 8
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    due = b"\x00\x01" + b"\xff" * (size - 3 - len(info)) + b"\x00" + info
    return len(signature) == size and pow(int.from_bytes(signature, "big"), exponent, modulus) == int.from_bytes(due, "big")


def assertion_fault(answer, credential, challenge, last_count, origin="https://login.example.org", rp="example.org"):
    """What is wrong with an assertion, as a relying party checks it; `None` if nothing is. Credential: its id and public key. The second value is the counter."""
    response = answer["response"]
    client, data = unbase64(response["clientDataJSON"]), unbase64(response["authenticatorData"])
    said = json.loads(client)
    count = int.from_bytes(data[33:37], "big")
    checks = {
        "another credential": answer["id"] == credential["id"],
        "another kind of ceremony": said["type"] == "webauthn.get",
        "another challenge": said["challenge"] == challenge,
        "another origin": said["origin"] == origin,
        "another relying party": data[:32] == hashlib.sha256(rp.encode()).digest(),
        "flags UP and UV are not both set": data[32] & 0x05 == 0x05,
        "a counter that is not above the last one": count > last_count,
        "a signature that does not verify": rs256(credential["public"], data + hashlib.sha256(client).digest(), unbase64(response["signature"])),
    }
    return next((what for what, holds in checks.items() if not holds), None), count
