"""A client of the nodes' API without the program: what it is told, it is told by the nodes themselves."""

import hashlib
import http.client
import json
import secrets
import ssl
import struct

JOB = "application/vnd.trefoil.job"


class Wrong(Exception):
    """A result that is not that of plain computation, or an answer that must not be."""


class Refused(Exception):
    """An answer with a problem document, or a connection that failed."""


class Api:
    """The three nodes, for one client."""

    def __init__(self, cluster, identity):
        self.apis, self.pins = cluster.apis, cluster.pins
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A node is who the fingerprint in cluster.toml says, which is compared below.
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(f"{identity}.crt", f"{identity}.key")

    def ask(self, party, method, path, body=None, kind=JOB, timeout=75):
        """Status and body of the answer."""
        host, port = self.apis[party]
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.context)
        try:
            connection.connect()
            if hashlib.sha256(connection.sock.getpeercert(True)).hexdigest() != self.pins[party]:
                raise Wrong(f"P{party} shows another certificate than cluster.toml names")
            connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"P{party}: {type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def ready(self, party):
        try:
            return self.ask(party, "GET", "/readyz", timeout=5)[0] == 200
        except Refused:
            return False

    def state(self, party, job, wait=0):
        """What a node says of a job; `None` if it knows none of this name."""
        status, body = self.ask(party, "GET", f"/v1/jobs/{job}" + (f"?wait={wait}" if wait else ""))
        if status == 404:
            return None
        if status != 200:
            raise Refused(f"P{party}: status {status}: {problem(body)}")
        return json.loads(body)

    def output(self, party, job):
        status, body = self.ask(party, "GET", f"/v1/jobs/{job}/outputs/0")
        if status != 200:
            raise Refused(f"P{party}: output: status {status}: {problem(body)}")
        return body


def problem(body):
    try:
        document = json.loads(body)
        return f"{document.get('title')}: {document.get('detail')}"
    except ValueError:
        return repr(body[:80])


def aes_job(key, counter, blocks, mode):
    """The bodies of a job for the three nodes: the key split in three."""
    spec = {"program": {"aes-ctr": {"key_bits": 8 * len(key), "counter": counter.hex(), "blocks": blocks}}, "mode": mode}
    head = json.dumps(spec).encode()
    x = [secrets.token_bytes(len(key)), secrets.token_bytes(len(key))]
    x.append(xor(xor(x[0], x[1]), key))
    return [struct.pack("<I", len(head)) + head + x[k] + x[(k + 1) % 3] for k in range(3)]


def put_together(outputs):
    """The sum of three components, after each has been compared with its copy's digest."""
    components = [body[:-32] for body in outputs]
    for k, body in enumerate(outputs):
        if hashlib.sha256(components[(k + 1) % 3]).digest() != body[-32:]:
            raise Wrong(f"P{k} and P{(k + 1) % 3} have different copies of a component")
    return xor(xor(components[0], components[1]), components[2])


def xor(a, b):
    if len(a) != len(b):
        raise Wrong(f"components of {len(a)} and {len(b)} bytes")
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")
