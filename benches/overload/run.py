#!/usr/bin/env python3
"""A server that is offered twice what it can do, and what becomes of everybody.

The server is pinned to one core, which it shares with busy loops, so that the load tool on the other core
can offer more than it takes. First its ceiling is found (closed loop). Then 20 connections send and wait
for their echo, 20 times a second each, while three crowds of sessions, one of each delivery class, together send
twice the ceiling. Printed is each second, and what the server and the tool say in the end.

What the crowds have sent and the server has not read waits in the sockets' buffers, and reliable messages are not
dropped: so it is read after the load's end too. Who sends little does not wait for that. Exits with 1 when something was
lost that may not be, the server's memory grew by more than --memory-mib, or the echoes' p99 is not below 50 ms
again a second after the load's end.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COUNTERS = ("madang_deliveries_total", "madang_conflated_total", "madang_dropped_total", "madang_closed_total",
            "madang_resumes_total", "madang_read_pauses_total", "madang_messages_received_total")
# Of the mix, in seconds: when the crowds begin, how long they send, and how long the echoes go on.
BEFORE, LOAD, ALL = 4, 6, 24
CLASSES = ("reliable", "latest", "volatile")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=2.0, help="times the ceiling [2]")
    parser.add_argument("--hogs", type=int, default=3, help="busy loops on the server's core [3]")
    parser.add_argument("--members", type=int, default=300, help="members of each crowd [300]")
    parser.add_argument("--ceiling", type=float, help="messages a second that the server takes [measured]")
    parser.add_argument("--memory-mib", type=float, default=256, help="how much its memory may grow [256]")
    parser.add_argument("--json", action="store_true", help="print the load tool's whole report too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the server")
    return parser.parse_args()


def build():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    subprocess.run(["cargo", "build", "--quiet", "--release", "--bins", "-p", "madang", "-p", "madang-load",
                    "--target-dir", target], cwd=ROOT, check=True)
    return target / "release"


def start(binary, more):
    """The server, and the addresses of its two listeners."""
    settings = ["server.shards=1", "rooms.open=", "play.messages_per_second=100000", "play.messages_burst=100000",
                "play.bytes_per_second=1000000000", "play.bytes_burst=1000000000", *more]
    command = ["taskset", "-c", "0", binary, "serve", "--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"]
    for setting in settings:
        command += ["--set", setting]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found = {}
    for line in server.stdout:
        name, _, rest = line.partition("://")
        found[name.split()[0]] = rest.strip().split("/")[0]
        if line.startswith("clients"):
            return server, found["play"], found["demo"]
    sys.exit("the server did not start")


def load(binary, url, *arguments):
    command = ["taskset", "-c", "1", binary, *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 2:
        sys.exit(f"{' '.join(map(str, command))}: it could not be run against {url}")
    return json.loads(done.stdout)


def ceiling(binary, url):
    """Messages a second that rooms of ten take, when each sender waits for its last message's echo."""
    found = load(binary, url, "relay", "--url", url, "--protocol", "native", "--closed", "--depth", "4", "--count", "900",
                 "--duration", "5", "--warmup", "2")
    return found["sent"] / (found["duration_seconds"] + found["warmup_seconds"])


def mix(url, pid, members, hz):
    sections = [f"""[[load]]
name = "probe"
scenario = "echo"
url = "{url}"
protocol = "raw"
count = 20
hz = 20
warmup = 0
duration = {ALL}
"""]
    for kind in CLASSES:
        sections.append(f"""[[load]]
name = "{kind}"
scenario = "overload"
after = "{BEFORE}s"
url = "{url}"
class = "{kind}"
count = {members}
hz = {hz:.2f}
warmup = 0
duration = {LOAD}
drain = 20
""")
    return "".join(sections)


def counters(address):
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    counts = {}
    for line in lines:
        match = re.match(r"(\w+)(\{[^}]*\})? (\d+)$", line)
        if match and match[1] in COUNTERS and int(match[3]) > 0:
            counts[match[1] + (match[2] or "")] = int(match[3])
    return counts


def main():
    asked = options()
    binaries = build()
    server, play, watch = start(binaries / "madang", asked.set)
    hogs = [subprocess.Popen(["taskset", "-c", "0", "sh", "-c", "while :; do :; done"]) for _ in range(asked.hogs)]
    try:
        url = f"ws://{play}"
        limit = asked.ceiling or ceiling(binaries / "madang-load", url)
        hz = asked.factor * limit / (len(CLASSES) * asked.members)
        print(f"ceiling {limit:,.0f} messages/s; offered {asked.factor * limit:,.0f}: {asked.members} members of each "
              f"class at {hz:.1f} Hz, rooms of 10, {asked.hogs} busy loops beside the server")
        before = counters(watch)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(mix(url, server.pid, asked.members, hz))
            file.flush()
            found = load(binaries / "madang-load", url, "mix", file.name, "--pid", str(server.pid))
        after = counters(watch)
        code = server.poll()
    finally:
        for hog in hogs:
            hog.kill()
        server.terminate()
        server.wait()
    if asked.json:
        print(json.dumps(found))
    return judge(asked.memory_mib, limit, found, {name: after[name] - before.get(name, 0) for name in after}, code)


def judge(memory_mib, limit, found, counts, code):
    """Prints what happened, and says whether it was as it should be."""
    series = {name: part["series"] for name, part in found["load"].items()}
    resident = [second["server_resident"] / 2**20 for second in found["series"] if second["server_resident"]]
    print("\n second | echoes sent, back | their p99 ms | server's cores | resident MiB | sent to all by the crowds")
    for at, second in enumerate(series["probe"]):
        crowds = [series[kind][at - BEFORE] for kind in CLASSES if 0 <= at - BEFORE < len(series[kind])]
        whole = found["series"][at] if at < len(found["series"]) else second
        print(f"{at + 1:7d} | {second['sent']:6d} {second['received']:6d}     | {second['p99_us'] / 1000:12.1f} "
              f"| {whole['server_cores'] or 0:14.2f} | {(whole['server_resident'] or 0) / 2**20:12.1f} "
              f"| {sum(crowd['received'] for crowd in crowds):9,d}")
    print("\nclass    |      sent |  expected |  received | conflated |   dropped | closed, back")
    for kind in CLASSES:
        part = found["load"][kind]
        slow = part["slow"]
        print(f"{kind:8s} | {part['sent']:9,d} | {part['expected']:9,d} | {part['received']:9,d} "
              f"| {part.get('conflated', 0):9,d} | {part.get('dropped', 0):9,d} | {slow['closed']}, {slow['recovered']}")
    print("\n" + "\n".join(f"{name} {count:,}" for name, count in sorted(counts.items())))

    problems = [f"{name}: {why}" for name, part in found["load"].items() for why in part["failures"]]
    if code is not None:
        problems.append(f"the server ended with {code}")
    grown = max(resident) - resident[0]
    print(f"\nresident memory grew by {grown:.1f} MiB")
    if grown > memory_mib:
        problems.append(f"memory grew by more than {memory_mib:g} MiB")
    end = BEFORE + LOAD
    sent = sum(found["load"][kind]["sent"] for kind in CLASSES)
    backlog = max(0.0, sent / limit - LOAD)
    probe = [second["p99_us"] / 1000 for second in series["probe"] if second["received"]]
    late = [at + 1 for at, p99 in enumerate(probe) if at >= end and p99 >= 50]
    recovered = max(late, default=end) - end
    print(f"what was sent and not read at the end of the load takes {backlog:.1f} s at the ceiling; "
          f"echoes were above 50 ms (p99) for {recovered} s after it")
    if recovered > 1:
        problems.append("the server was not itself again in time")
    for problem in problems:
        print("problem: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
