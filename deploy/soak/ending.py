"""After the last job: what the nodes say of all jobs whose names were kept, and whether their logs hold."""

import collections
import subprocess
import time

from api import Refused, Wrong, put_together


def settle(soak):
    """After the last job: what the nodes say of all jobs whose names were kept, and whether the logs hold."""
    soak.network.impair(0, 0)
    soak.ready_at_end = soak.ready_after(time.monotonic())
    by_name = {c.name: c.api for c in soak.clients}
    soak.lost, soak.fates = [], collections.Counter()
    for record in soak.shared.kept:
        if not record["deleted"] and record["acknowledged"]:
            fate(soak, record, by_name[record["client"]])
    soak.end_sizes = soak.cluster.sizes()
    soak.exits = soak.cluster.stop()
    audits = [str(soak.cluster.audit(p).relative_to(soak.cluster.directory)) for p in range(3)]
    verify = subprocess.run([str(soak.args.program), "audit", "verify", *audits], cwd=soak.cluster.directory, capture_output=True, text=True)
    soak.audit = {"exit": verify.returncode, "said": (verify.stdout + verify.stderr).strip()}
    soak.found = leaks(soak)
    soak.panics = [line for p in range(3) for line in soak.cluster.log(p).read_text(errors="replace").splitlines() if "panicked" in line]
    soak.panics += [text for text in soak.shared.texts if "panicked" in text]


def fate(soak, record, api):
    """A job that a node had acknowledged: it is told of, to its end, and what was done can be fetched."""
    states, wrong = {}, []
    for party in record["acknowledged"]:
        try:
            state = api.state(party, record["job"], wait=30)
        except Refused as error:
            state = {"state": f"cannot be asked: {error}"}
        if state is None:
            wrong.append(f"P{party} knows none of this name")
        elif state["state"] not in ("done", "failed"):
            wrong.append(f"P{party}: {state['state']}")
        elif state["state"] == "failed" and party in record["done"]:
            wrong.append(f"P{party} had said that it is done, and says now: {state['failure']['kind']}: {state['failure']['cause']}")
        states[party] = state["state"] if state else "unknown"
    if not wrong and len(states) == 3 and set(states.values()) == {"done"}:
        try:
            if put_together([api.output(p, record["job"]) for p in range(3)]).hex() != record["due"]:
                wrong.append("its output is another one than OpenSSL's")
        except (Refused, Wrong) as error:
            wrong.append(f"its output cannot be fetched: {error}")
    soak.fates[", ".join(sorted(states.values()))] += 1
    if wrong:
        soak.lost.append({"job": record["job"], "fetched_before": record["fetched"], "what": "; ".join(wrong)})


def leaks(soak):
    """Where a secret of the clients stands in what the nodes have written, or in what commands said."""
    files = [f for p in range(3) for f in [soak.cluster.log(p), soak.cluster.node_dir(p) / "store.redb", *soak.cluster.audit(p).glob("*")]]
    texts = [(f.name if f.parent.name == "cluster" else f"{f.parent.name}/{f.name}", f.read_bytes()) for f in files]
    texts.append(("standard error of commands", "\n".join(soak.shared.texts).encode()))
    # Any of them in binary, or in hexadecimal digits. One pass over each text for all: by their first bytes.
    forms = {form: what for what, secret in soak.shared.secrets.items() for form in (secret, secret.hex().encode()) if len(form) >= 16}
    heads = collections.defaultdict(list)
    for form in forms:
        heads[form[:12]].append(form)
    found = set()
    for name, text in texts:
        for at in range(len(text) - 11):
            for form in heads.get(text[at:at + 12], ()):
                if text.startswith(form, at):
                    found.add(f"{forms[form]} in {name}")
    return sorted(found)
