"""The report: Markdown for people, JSON for programs."""

import collections
import hashlib
import json
import os
import platform
import re
import statistics
import subprocess

MIB = 1 << 20
# The beginning of a process is left out: so many seconds, and the first half of its time. The allocator keeps what so many jobs at once have ever needed.
WARM_UP = 60.0
MEASURES = (("resident_mib", 1, MIB), ("own_mib", 2, MIB), ("descriptors", 3, 1), ("threads", 4, 1))
# What is still called flat, for a minute: of the process that was watched longest.
BOUNDS = {"own_mib": 1.0, "descriptors": 0.5, "threads": 0.1}


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else None


def slope(points):
    """Least squares, for a minute."""
    if len(points) < 3:
        return None
    xs, ys = [x / 60 for x, _ in points], [y for _, y in points]
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - mx) ** 2 for x in xs)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / spread if spread else None


def by_minute(points):
    """The medians of the minutes: jobs come and go within one, so that its values hang together and are no witnesses of their own."""
    minutes = collections.defaultdict(list)
    for x, y in points:
        minutes[int((x - points[0][0]) // 60)].append(y)
    # One that was cut off says little, and would weigh as much.
    whole = max(map(len, minutes.values()), default=0) / 2
    return [(60.0 * minute, statistics.median(values)) for minute, values in sorted(minutes.items()) if len(values) >= whole]


def rise(points):
    """The slope of the minutes' medians, and its standard error, for a minute. Of fewer than five minutes there is no error worth the name."""
    points = by_minute(points)
    medians_rise = slope(points)
    if medians_rise is None or len(points) < 5:
        return medians_rise, None
    xs, ys = [x / 60 for x, _ in points], [y for _, y in points]
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    left = sum((y - my - medians_rise * (x - mx)) ** 2 for x, y in zip(xs, ys))
    return medians_rise, (left / (len(points) - 2) / sum((x - mx) ** 2 for x in xs)) ** 0.5


def normal(cause):
    """A cause without what differs from one job to the next."""
    cause = re.sub(r"\s+", " ", cause)
    cause = re.sub(r"[0-9a-f]{32,}", "..", cause)
    cause = re.sub(r"/\S+/", "", cause)
    cause = re.sub(r"(\d+\.){3}\d+:\d+", "ADDRESS", cause)
    cause = re.sub(r"\bP[012]\b", "P*", cause)
    return re.sub(r"\b\d+(\.\d+)? ?(ms|s|seconds)\b", "N s", cause)


def kind_row(records, kind):
    mine = [r for r in records if r["kind"] == kind]
    count = collections.Counter(r["outcome"] for r in mine)
    seconds = [r["end"] - r["start"] for r in mine if r["outcome"] == "right"]
    return {
        "jobs": len(mine), **{o: count[o] for o in ("right", "failed", "hung", "wrong")},
        "seconds": {p: percentile(seconds, q) for p, q in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))},
    }


def life_row(life, begin, end):
    seen = max(life.started, begin)
    warm = seen + max(WARM_UP, ((life.ended or seen) - seen) / 2)
    # Not what was at rest again when the jobs had ended.
    samples = [s for s in life.samples if warm <= s[0] <= end]
    row = {"party": life.party, "process": life.number, "minutes": ((life.ended or 0) - life.started) / 60, "samples": len(samples)}
    if not samples:
        return row
    for name, at, unit in MEASURES:
        values = [s[at] / unit for s in samples]
        risen, error = rise([(s[0], s[at] / unit) for s in samples])
        row[name] = {"least": min(values), "median": statistics.median(values), "greatest": max(values), "slope": risen, "error": error}
    return row


def between_lives(lives, begin):
    """Whether one process after the other of a node uses more: the median of each at the same age, over time."""
    rows = {}
    for party in range(3):
        points = []
        for life in lives:
            if life.party == party and life.started > begin:
                values = [s[2] / MIB for s in life.samples if 30 <= s[0] - life.started <= WARM_UP + 30]
                if values:
                    points.append((life.started, statistics.median(values)))
        if len(points) >= 3:
            rows[f"P{party}"] = {"processes": len(points), "first": points[0][1], "last": points[-1][1], "slope": slope(points)}
    return rows


def kill_rows(soak):
    rows = []
    for kill in soak.kills:
        after = [r["end"] for r in soak.records if r["outcome"] == "right" and r["start"] >= kill["at"]]
        rows.append({
            "minute": (kill["at"] - soak.begin) / 60, "party": kill["party"], "ready_after_start": kill["ready"],
            "first_success_after_kill": min(after) - kill["at"] if after else None,
            "failed": sum(r["outcome"] == "failed" and within(r, kill) for r in soak.records),
        })
    return rows


def within(record, kill):
    """Whether a job overlaps the time from the kill until all were ready, or began in the two seconds after it, before all links have settled."""
    return record["start"] < kill["until"] + 2 and record["end"] > kill["at"]


def gather(soak):
    a, records = soak.args, soak.records
    for r in records:
        r["at_a_kill"] = any(within(r, k) for k in soak.kills)
    wall = soak.end - soak.begin
    lives = [life_row(life, soak.begin, soak.end) for life in soak.cluster.lives]
    watched = max((l for l in lives if "own_mib" in l), key=lambda l: l["samples"], default=None)
    again = [r for r in records if r["again"]]
    causes = collections.defaultdict(list)
    for r in records:
        if r["outcome"] == "failed":
            causes[r["at_a_kill"], r["kind"], normal(r["cause"])].append(r["end"] - r["start"])
    busy, total, stolen = (y - x for x, y in zip(soak.cpu_before, soak.cpu_after))
    data = {
        "measured": a.label, "note": a.note, "begun": soak.begun_at, "program": program(a.program),
        "machine": {
            "processors": os.cpu_count(), "kernel": platform.release(), "busy": busy / total, "stolen": stolen / total,
            "load": [min(soak.loads, default=None), statistics.median(soak.loads) if soak.loads else None, max(soak.loads, default=None)],
            "nodes_cpu_seconds": [round(sum(l.samples[-1][5] for l in soak.cluster.lives if l.party == p and l.samples), 1) for p in range(3)],
        },
        "configuration": {
            "minutes": a.minutes, "clients": a.clients, "in_flight": a.in_flight, "pause_seconds": a.pause, "kill_every_seconds": a.kill_every,
            "down_seconds": a.down, "spare": a.spare, "loss": a.loss, "delay_seconds": a.delay, "seed": a.seed, "network": soak.network.what,
        },
        "network": {"handshake_ms": soak.ping, "relay": difference(soak.relay_before, soak.relay_after)},
        "kinds": {k: kind_row(records, k) for k in sorted({r["kind"] for r in records})},
        "all": {**collections.Counter(r["outcome"] for r in records), "jobs": len(records), "right_per_minute": 60 * sum(r["outcome"] == "right" for r in records) / wall},
        "tried_again": {"jobs": len(again), "right": sum(r["outcome"] == "right" for r in again)},
        "largest_error_of_a_probability": soak.shared.largest_error, "error_of_the_model": soak.shared.training_error,
        "wrong": [f"{r['kind']} of {r['client']}: {r['cause']}" for r in records if r["outcome"] == "wrong"],
        "hung": [f"{r['kind']} of {r['client']} at {(r['start'] - soak.begin) / 60:.1f} min: {r['cause']}" for r in records if r["outcome"] == "hung"],
        "failures": [{"at_a_kill": k[0], "kind": k[1], "cause": k[2], "jobs": len(t), "seconds": {"median": percentile(t, 0.5), "greatest": max(t)}} for k, t in sorted(causes.items(), key=lambda i: -len(i[1]))],
        "kept_jobs": {
            "submitted": len(soak.shared.kept), "asked_for_at_the_end": sum(soak.fates.values()), "states": dict(soak.fates), "lost": soak.lost,
        },
        "kills": kill_rows(soak), "troubles": soak.troubles,
        "at_rest_mib": {
            f"P{p}": {"before": soak.rest_before.get(p, 0) / MIB, "after": own / MIB, "process": process + 1} for p, (process, own) in sorted(soak.rest.items())
        },
        "processes": lives, "watched": watched, "between_processes": between_lives(soak.cluster.lives, soak.begin),
        "files": {"at_first": soak.sizes[0][1] if soak.sizes else None, "at_the_end": soak.end_sizes},
        "ready_at_end": soak.ready_at_end is not None, "exits": soak.exits, "audit": soak.audit, "secrets_found": soak.found, "panics": soak.panics,
    }
    data["verdict"] = verdict(data)
    return data


def uncertain(watched):
    """What rises by more than its bound, but not by more than its own scatter."""
    rows = [(name, watched[name], bound) for name, bound in BOUNDS.items()] if watched else []
    return [(name, row) for name, row, bound in rows if row["error"] is not None and bound < row["slope"] <= 2 * row["error"]]


def verdict(data):
    """What has to hold; each with whether it does."""
    watched = data["watched"]
    flat = None
    if watched and watched["minutes"] >= 5:
        slopes = {name: watched[name]["slope"] for name in BOUNDS}
        flat = None if None in slopes.values() else all(slopes[name] <= bound for name, bound in BOUNDS.items())
    elsewhere = sum(f["jobs"] for f in data["failures"] if not f["at_a_kill"])
    rows = {
        "no wrong result": not data["wrong"],
        "no acknowledged job lost": not data["kept_jobs"]["lost"],
        "no command hung": not data["hung"],
        "no failure but at kills": elsewhere == 0,
        "every node came back, and none ended by itself": not data["troubles"] and data["ready_at_end"],
        "flat memory, descriptors and threads": flat,
        "audit logs verify and agree": data["audit"]["exit"] == 0,
        "no secret in logs, audit logs, stores or messages": not data["secrets_found"],
        "no panic": not data["panics"],
        "nodes end in order": all(code == 0 for code in data["exits"].values()),
    }
    return rows


def difference(before, after):
    if before is None:
        return None
    row = {k: after[k] - before[k] for k in ("packets", "bytes", "lost", "refused", "cpu_seconds")}
    return row | {k: after[k] for k in ("most_waiting", "latest_seconds")}


def program(path):
    version = subprocess.run([str(path), "--version"], capture_output=True, text=True).stdout.strip()
    return {"version": version, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def number(value, digits=2):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c).replace("|", "/") for c in row) + " |" for row in rows] + [""]


def markdown(d):
    c, m, v = d["configuration"], d["machine"], d["verdict"]
    missed = [what for what, holds in v.items() if holds is False]
    lines = ["# Soak", "", "**" + ("Passed" if not missed else "Not passed: not so: " + "; ".join(missed)) + "**", ""]
    lines += table(["what has to hold", ""], [(what, {True: "yes", False: "**no**", None: "not measured: no process lived for five minutes"}[holds]) for what, holds in v.items()])
    lines += [
        f"Begun {d['begun']}, {c['minutes']:g} minutes after the preparation. Program: {d['program']['version']}, SHA-256 {d['program']['sha256'][:16]}.." + (f", {d['measured']}" if d["measured"] else "") + ".",
        f"{c['clients']} clients, at most {c['in_flight']} jobs under way at the same time, a mean pause of {c['pause_seconds']:g} s for each client; "
        + (f"a node killed (SIGKILL) every {c['kill_every_seconds']:g} s and started again {c['down_seconds']:g} s later" if c["kill_every_seconds"] else "no node killed")
        + (f", P{c['spare']} never" if c["spare"] is not None else "") + f"; seed {c['seed']}.",
        f"Network: {c['network']}.",
    ]
    if d["network"]["relay"]:
        r = d["network"]["relay"]
        lines.append(
            f"Measured: a TCP handshake took {number(d['network']['handshake_ms'], 1)} ms (median of 9); of {r['packets']:,} packets {100 * r['lost'] / max(1, r['packets']):.2f} % were lost; "
            f"the relay handed packets over {1000 * r['latest_seconds']:.0f} ms too late at most, {r['most_waiting']:,} waited at most, and {r['refused']:,} were lost for want of room."
        )
    lines += [
        f"Machine: {m['processors']} processors, Linux {m['kernel']}, {100 * m['busy']:.0f} % busy ({100 * m['stolen']:.0f} % taken by its host), load {number(m['load'][0], 1)} to {number(m['load'][2], 1)}, median {number(m['load'][1], 1)}; "
        f"processor time of P0, P1, P2: {', '.join(map(str, m['nodes_cpu_seconds']))} s.",
    ]
    if d["note"]:
        lines.append(f"Meanwhile: {d['note']}.")
    lines += ["", "## Jobs", ""]
    lines += table(
        ["kind", "jobs", "right", "failed", "hung", "wrong", "median", "p95", "p99"],
        [(k, r["jobs"], r["right"], r["failed"], r["hung"], r["wrong"], *(number(r["seconds"][p]) + " s" for p in ("median", "p95", "p99"))) for k, r in d["kinds"].items()],
    )
    lines += [
        f"{d['all']['right_per_minute']:.0f} right results a minute. Times are of those, from the start of a command to its end. {d['tried_again']['jobs']} jobs that failed were tried once more, as new jobs: {d['tried_again']['right']} came out right.",
        f"A probability was {d['largest_error_of_a_probability']:.1e} off plain computation at most, a coefficient of the model {d['error_of_the_model']:.1e}.",
        "", "## Acknowledged jobs", "",
        f"{d['kept_jobs']['submitted']} jobs went through the API; {d['kept_jobs']['asked_for_at_the_end']} of them, which nobody had deleted, were asked for at the end of each node that had acknowledged them. What the nodes said:", "",
    ]
    lines += table(["states", "jobs"], d["kept_jobs"]["states"].items())
    lines += [f"**Lost: {len(d['kept_jobs']['lost'])}**", ""]
    lines += table(["times", "what"], collections.Counter(normal(l["what"]) for l in d["kept_jobs"]["lost"]).most_common()) if d["kept_jobs"]["lost"] else []
    for name in ("wrong", "hung", "panics", "secrets_found"):
        if d[name]:
            lines += [f"## {name.replace('_', ' ').capitalize()}", "", *(f"- {x}" for x in d[name][:40]), ""]
    lines += ["## Failures with a cause", ""]
    lines += ["At a kill: the job overlaps the time from the kill to two seconds after all nodes were ready again.", ""]
    lines += table(["when", "kind", "jobs", "after, median and greatest", "cause"], [("at a kill" if f["at_a_kill"] else "**elsewhere**", f["kind"], f["jobs"], f"{f['seconds']['median']:.1f} s, {f['seconds']['greatest']:.1f} s", f["cause"][:400]) for f in d["failures"]])
    lines += ["## Kills", ""]
    first, ready = ([k[n] for k in d["kills"] if k[n] is not None] for n in ("first_success_after_kill", "ready_after_start"))
    lines += [f"{len(d['kills'])} kills. All nodes were ready {number(percentile(ready, .5))} s (at most {number(max(ready, default=None))} s) after the start of the killed one; the first job submitted after the kill came out right {number(percentile(first, .5))} s (at most {number(max(first, default=None))} s) after the kill.", ""]
    lines += table(["minute", "node", "ready after start", "first right result after kill", "failed jobs"], [(number(k["minute"], 1), f"P{k['party']}", number(k["ready_after_start"]) + " s", number(k["first_success_after_kill"]) + " s", k["failed"]) for k in d["kills"]])
    for t in d["troubles"]:
        lines.append(f"- minute {t['at'] / 60:.1f}: {t['what']}")
    lines += ["", "## Memory, descriptors, threads", ""]
    lines += [f"Of each process, without its first {WARM_UP:g} s and the first half of its time in the run: least / median / greatest, and the slope of least squares through the medians of the minutes ± its standard error, for a minute. Its own is what is resident and not of a file. Flat is, for the process that was watched longest: at most " + ", ".join(f"{b} {n.replace('_', ' ')}" for n, b in BOUNDS.items()) + " more a minute.", ""]
    cell = lambda l, n, digits: f"{number(l[n]['least'], digits)} / {number(l[n]['median'], digits)} / {number(l[n]['greatest'], digits)}; {number(l[n]['slope'])} ± {number(l[n]['error'])}"
    lines += table(
        ["process", "minutes", "resident, MiB", "of these its own, MiB", "descriptors", "threads"],
        [(f"P{l['party']}, {l['process'] + 1}" + (" (watched)" if l is d["watched"] else ""), number(l["minutes"], 1), cell(l, "resident_mib", 1), cell(l, "own_mib", 1), cell(l, "descriptors", 0), cell(l, "threads", 0)) for l in d["processes"] if "own_mib" in l],
    )
    for name, row in uncertain(d["watched"]):
        lines += [f"The slope of {name.replace('_', ' ')}, {number(row['slope'])}, is over its bound and within two standard errors of none: this run cannot tell a rise from the coming and going of jobs. Run it on a machine that does nothing else, or for longer.", ""]
    lines += ["Memory of its own when nothing was under way for 15 s, before the first job and after the last one: " + "; ".join(
        f"{p}, process {r['process']}: {number(r['before'], 1)} and {number(r['after'], 1)} MiB" for p, r in d["at_rest_mib"].items()) + ".", ""]
    if d["between_processes"]:
        lines += ["From one process of a node to the next, memory of its own at the age of 30 to 90 s:", ""]
        lines += table(["node", "processes", "first, own MiB", "last, MiB", "slope, MiB a minute"], [(p, r["processes"], number(r["first"], 1), number(r["last"], 1), number(r["slope"])) for p, r in d["between_processes"].items()])
    lines += ["## Files", ""]
    if d["files"]["at_first"]:
        lines += table(["node", "store at first", "at the end", "audit log at first", "at the end"], [(f"P{p}", f"{s0:,}", f"{s1:,}", f"{a0:,}", f"{a1:,}") for p, ((s0, a0), (s1, a1)) in enumerate(zip(d["files"]["at_first"], d["files"]["at_the_end"]))])
    lines += ["`trefoil audit verify` of the three logs said:", "", "```", d["audit"]["said"], "```", ""]
    return "\n".join(lines)


def write(soak):
    """Writes both forms and returns the exit code: 0 if all that has to hold does."""
    data = gather(soak)
    (soak.args.out / "report.json").write_text(json.dumps(data, indent=1, default=str) + "\n")
    (soak.args.out / "report.md").write_text(markdown(data))
    missed = [what for what, holds in data["verdict"].items() if holds is False]
    soak.say(f"{'passed' if not missed else 'NOT PASSED, not so: ' + '; '.join(missed)}; {data['all']}; report in {soak.args.out}")
    return 1 if missed else 0
