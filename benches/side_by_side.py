#!/usr/bin/env python3
"""Follows one log with Flightdeck, with kubectl and with other consoles, in the same minutes on the same machine, and prints what each costs.

    cargo build --release
    cargo install kubetui kdash --root target/peers-rs
    pip install pyte
    PATH=target/peers-rs/bin:$PATH benches/side_by_side.py [--seconds 30] [--lines 1000000] [NAME ...]

The log is that of a docs run on the embedded cluster whose agent is a script of this file: it writes numbered lines of 120
bytes. It is opened in each console as a person would, each alone, in a terminal of 140x40; `kubectl logs -f` writes into the same.
Measured of each:

  paint      from its start to the first text on the screen
  rest       CPU and wake-ups (voluntary context switches of all its threads) a second, nothing happening
  follow     the same, and what is resident, while 1,000 lines a second arrive
  key        from a key to what answers it on the screen, while they arrive, of 200 keys
  flood      the same while 50,000 lines a second arrive, of 99 keys in 100
  keeps up   the most lines a second, of those tried, of which the last is on the screen within a second of being written
  lost       of 5,000 lines, those that are found nowhere when its log is gone through from the first to the last
  MiB        what is resident when --lines have arrived, 20,000 a second; "never" when the last was not shown within two minutes
  kept       of those, the lines that can still be gone back to

Needs pyte, which reads the screens; Linux only (/proc). A program that is not on the PATH is left out, and said.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import pyte

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE = 120
PLAN = {"master": {"tasks": [{"id": 1, "title": "One", "description": "d", "status": "pending", "priority": "high", "dependencies": [], "subtasks": []}]}}
AGENT = '''#!{python}
import json, os, sys, time
if "--help" in sys.argv:
    sys.exit(0)
told = json.load(open({told!r}))
rate, count = told["rate"], told["count"]
def lines(a, b):
    return b"".join(b"seq %09d %s\\n" % (i, b"x" * {pad}) for i in range(a, b))
def put(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]
put(b"!!WRITER!HERE!!\\n")
while not os.path.exists(told["go"]):
    time.sleep(0.01)
start, n = time.monotonic(), 0
while n < count:
    due = min(count, int((time.monotonic() - start) * rate))
    if due > n:
        put(lines(n, due))
        n = due
    time.sleep(0.01)
# What comes after it lifts it from the lowest rows of a screen, on which some programs write of other things.
put(b"!!WRITER!DONE!!\\n" + b"after\\n" * 5)
with open(told["done"], "w") as file:
    file.write(str(time.time()))
time.sleep(told["rest"])
'''

ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


class Terminal:
    """A program in a pseudo terminal, read by a thread that notes when what came."""

    def __init__(self, argv, env, cwd):
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)
        self.lock, self.data, self.times = threading.Condition(), bytearray(), []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                chunk = os.read(self.fd, 1 << 16)
            except OSError:
                chunk = b""
            now = time.monotonic()
            with self.lock:
                if chunk:
                    # What a terminal is asked, it answers: where the cursor is, what it is.
                    if b"\x1b[6n" in chunk:
                        os.write(self.fd, b"\x1b[1;1R")
                    if b"\x1b[c" in chunk:
                        os.write(self.fd, b"\x1b[?62;c")
                    self.times.append((now, len(self.data)))
                    self.data += chunk
                self.lock.notify_all()
            if not chunk:
                return

    def mark(self):
        with self.lock:
            return len(self.data)

    def type(self, keys):
        os.write(self.fd, keys)

    def first(self, wanted, since=0, timeout=30.0):
        """Seconds since the clock's zero at which text that matches came, or None."""
        wanted = re.compile(wanted)
        limit = time.monotonic() + timeout
        with self.lock:
            seen, from_ = -1, since
            while True:
                if len(self.data) != seen:
                    seen = len(self.data)
                    if wanted.search(ESCAPES.sub(b"", bytes(self.data[from_:]))):
                        return self.times[-1][0]
                    # A word, or a sequence before it, may be cut between two reads.
                    from_ = max(since, seen - 512)
                left = limit - time.monotonic()
                if left <= 0 or not self.lock.wait(left) and time.monotonic() >= limit:
                    return None

    def any_after(self, since, timeout=5.0):
        limit = time.monotonic() + timeout
        with self.lock:
            while len(self.data) <= since:
                left = limit - time.monotonic()
                if left <= 0 or not self.lock.wait(left):
                    return None
            return next(t for t, at in self.times if at >= since)

    def end(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                break
            for _ in range(100):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    # The reader ends first: the next terminal may be given this number.
                    self.reader.join()
                    os.close(self.fd)
                    return
                time.sleep(0.02)


class Cost:
    """CPU and wake-ups of a process and its threads between two moments."""

    def __init__(self, pid):
        self.pid, self.at = pid, time.monotonic()
        self.cpu, self.woken = self.read()

    def read(self):
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        woken = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                woken[task.name] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
            except OSError:
                pass
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), woken

    def so_far(self):
        cpu, woken = self.read()
        spent = time.monotonic() - self.at
        turns = sum(n - self.woken.get(task, 0) for task, n in woken.items())
        return 100 * (cpu - self.cpu) / spent, turns / spent


def resident(pid):
    return int(re.search(r"^VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) / 1024


class World:
    """A repository with its remote, a home, the embedded cluster, and the agent that writes."""

    def __init__(self, flightdeck):
        self.flightdeck = str(flightdeck)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="side-by-side-"))
        for name in ("home", "bin", "repo/.taskmaster/tasks"):
            (self.dir / name).mkdir(parents=True)
        self.told = self.dir / "told.json"
        self.go = self.dir / "go"
        self.done = self.dir / "done"
        agent = self.dir / "bin/claude"
        agent.write_text(AGENT.format(python=sys.executable, told=str(self.told), pad=LINE - 15))
        agent.chmod(0o755)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        self.env |= {"HOME": str(self.dir / "home"), "PATH": f"{self.dir}/bin:{os.environ['PATH']}", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.repo = self.dir / "repo"
        (self.repo / ".taskmaster/tasks/tasks.json").write_text(json.dumps(PLAN))
        git = lambda *args: subprocess.run(["git", *args], cwd=self.repo, env=self.env, check=True, capture_output=True)
        for key, value in (("user.name", "a"), ("user.email", "a@b.example"), ("init.defaultBranch", "main")):
            git("config", "--global", key, value)
        git("init", "-q", "--bare", str(self.dir / "origin.git"))
        git("init", "-q")
        git("add", ".")
        git("commit", "-qm", "Plan")
        git("remote", "add", "origin", str(self.dir / "origin.git"))
        git("push", "-qu", "origin", "main")
        self.env["KUBECONFIG"] = ""
        self.fd("embedded", "kubeconfig")
        self.env["KUBECONFIG"] = self.fd("embedded", "kubeconfig", "--path").strip()

    def fd(self, *args):
        done = subprocess.run([self.flightdeck, *args], cwd=self.repo, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout

    def launch(self, rate, count, rest=600):
        for file in (self.go, self.done):
            file.unlink(missing_ok=True)
        self.told.write_text(json.dumps({"rate": rate, "count": count, "rest": rest, "go": str(self.go), "done": str(self.done)}))
        return self.fd("run", "docs", "--task", "1", "-o", "name").split()[0]

    def pod(self, run):
        while True:
            out = subprocess.run(["kubectl", "get", "pods", "-o", "json"], env=self.env, capture_output=True, text=True, check=True).stdout
            for pod in json.loads(out)["items"]:
                name = pod["metadata"]["name"]
                if run in name and "-agent-" in name and pod["status"].get("phase") in ("Running", "Succeeded"):
                    return name
            time.sleep(0.1)

    def remove(self, run):
        self.fd("runs", "stop", run)
        for _ in range(200):
            if json.loads(self.fd("runs", "get", run, "-o", "json"))["status"].get("phase") not in ("Running", "Pending"):
                break
            time.sleep(0.1)
        self.fd("runs", "delete", run)
        for _ in range(300):
            pods = subprocess.run(["kubectl", "get", "pods", "-o", "name"], env=self.env, capture_output=True, text=True).stdout
            if run not in pods:
                break
            time.sleep(0.1)

    def close(self):
        subprocess.run([self.flightdeck, "embedded", "stop"], env=self.env, cwd=self.repo, capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


# Of each: its arguments; what is on the screen before each key on the way to the log of the only run; a key, what answers it, and
# the key that undoes it: none for a program that takes no keys; what moves into the log, where opening it does not.
PROGRAMS = {
    "flightdeck": dict(argv=lambda w, pod: [w.flightdeck], log=[(rb"docs-main", b"2"), (None, b"l")], key=b"?", undo=b"\x1b", answer=rb"help|Help|Keys"),
    "kubectl": dict(argv=lambda w, pod: ["kubectl", "logs", "-f", pod, "-c", "agent"], log=[], key=None),
    "kubetui": dict(argv=lambda w, pod: ["kubetui", "-n", "default"], log=[(rb"-agent-", b"\r")], into=b"\t\t", key=b"?", undo=b"\x1b", answer=rb"Help|help"),
    "kdash": dict(argv=lambda w, pod: ["kdash", "-n", "default"], log=[(rb"docs-main-", b"\r"), (rb"agent", b"\r")], key=b"?", undo=b"\x1b", answer=rb"Help|Keybindings"),
}
RATES = [1_000, 5_000, 20_000, 50_000, 100_000]


def paint(world, program):
    """Milliseconds from the start to the first text, the median of five."""
    times = []
    for _ in range(5):
        terminal = Terminal(program["argv"](world, None), world.env, world.repo)
        at = terminal.first(rb"[A-Za-z]{3}")
        times.append(1000 * (at - terminal.started))
        terminal.end()
    return statistics.median(times)


def resting(world, program, seconds):
    """CPU and wake-ups a second of a program that has nothing to do."""
    run = None if program["key"] else world.launch(rate=1000, count=1)
    terminal = Terminal(program["argv"](world, run and world.pod(run)), world.env, world.repo)
    time.sleep(5)
    cost = Cost(terminal.pid)
    time.sleep(seconds)
    rest = cost.so_far()
    terminal.end()
    if run:
        world.remove(run)
    return rest


def open_log(world, program, pod):
    """The program with the log before it, and then the writer begins: some show only the end of what was written before."""
    terminal = Terminal(program["argv"](world, pod), world.env, world.repo)
    for wanted, keys in [*program["log"], (rb"!!WRITER!HERE!!", b"")]:
        if wanted and terminal.first(wanted, timeout=20) is None:
            raise SystemExit(f"{wanted!r} never came; the screen said: {ESCAPES.sub(b' ', bytes(terminal.data))[-800:]!r}")
        time.sleep(0.6)
        terminal.type(keys)
    world.go.touch()
    return terminal


def latencies(terminal, program, times=200):
    """Milliseconds from a key to what answers it, while the log runs. Of few keys one in a hundred is no more than the slowest."""
    out = []
    for _ in range(times):
        for keys, answer in ((program["key"], program["answer"]), (program["undo"], None)):
            since, at = terminal.mark(), time.monotonic()
            terminal.type(keys)
            came = terminal.first(answer, since, timeout=3) if answer else terminal.any_after(since)
            if answer and came:
                out.append(1000 * (came - at))
            time.sleep(0.05)
    return out


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def followed(world, program, seconds):
    run = world.launch(rate=1000, count=10**9)
    terminal = open_log(world, program, world.pod(run))
    time.sleep(3)
    cost = Cost(terminal.pid)
    time.sleep(seconds)
    cpu, woken = cost.so_far()
    memory = resident(terminal.pid)
    keys = latencies(terminal, program) if program["key"] else []
    terminal.end()
    world.remove(run)
    return cpu, woken, memory, keys


def flooded(world, program):
    """Milliseconds in which 99 of 100 keys are answered while 50,000 lines a second arrive."""
    run = world.launch(rate=50_000, count=10**9)
    terminal = open_log(world, program, world.pod(run))
    time.sleep(3)
    keys = latencies(terminal, program)
    terminal.end()
    world.remove(run)
    return percentile(keys, 0.99)


def late(world, terminal, timeout):
    """Seconds from the last line's writing to its being shown; None when it was not."""
    shown = terminal.first(b"!!WRITER!DONE!!", timeout=timeout)
    if shown is None:
        return None
    return max(0.0, time.time() - (time.monotonic() - shown) - float(world.done.read_text()))


def keeps_up(world, program):
    """The highest rate that is kept up with, and the lines lost of 5,000."""
    kept, lost = 0, 0
    for rate in RATES:
        run = world.launch(rate=rate, count=5 * rate)
        terminal = open_log(world, program, world.pod(run))
        behind = late(world, terminal, 30)
        if rate == RATES[0]:
            lost = len(set(range(5 * rate)) - gone_through(terminal, program))
        terminal.end()
        world.remove(run)
        if behind is None or behind > 1:
            break
        kept = rate
    return kept, lost


NUMBER = re.compile(r"seq (\d{9})")


class Eye:
    """What stands on the screen of a program in its log, once that is drawn anew; pyte reads it."""

    def __init__(self, terminal, program):
        self.terminal, self.screen = terminal, pyte.Screen(139, 40)
        self.stream = pyte.ByteStream(self.screen)
        terminal.type(program.get("into", b""))
        time.sleep(0.2)
        self.fed = terminal.mark()
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 139, 0, 0))
        time.sleep(0.5)

    def numbers(self):
        """Those of the lines on the screen, when it has been still for a moment."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.03:
            with self.terminal.lock:
                new = bytes(self.terminal.data[self.fed:])
            if new:
                self.stream.feed(new)
                self.fed, quiet = self.fed + len(new), time.monotonic()
            time.sleep(0.002)
        return {int(n) for row in self.screen.display for n in NUMBER.findall(row)}

    def to_the_first(self):
        self.terminal.type(b"\x1b[H")
        time.sleep(1)
        return self.numbers()


def gone_through(terminal, program):
    """Numbers of the lines that are seen from the first page to the last."""
    if not program["key"]:
        return {int(n) for n in NUMBER.findall(bytes(terminal.data).decode())}
    eye = Eye(terminal, program)
    seen = before = eye.to_the_first()
    still = 0
    # Some move a cursor first, down to the lowest row.
    while still * 10 <= eye.screen.lines:
        # Not by pages: some programs have pages that are longer than their screen.
        terminal.type(b"\x1b[B" * 10)
        now = eye.numbers()
        still = still + 1 if now == before else 0
        seen, before = seen | now, now
    return seen


def million(world, program, lines):
    """MiB resident once so many lines were shown, and how many of them can still be read; None when the last never was shown."""
    run = world.launch(rate=20_000, count=lines)
    terminal = open_log(world, program, world.pod(run))
    behind = late(world, terminal, lines / 20_000 + 120)
    memory = resident(terminal.pid)
    kept = None
    if behind is not None and program["key"]:
        kept = lines - min(Eye(terminal, program).to_the_first(), default=lines)
    terminal.end()
    world.remove(run)
    return memory if behind is not None else None, kept


def main():
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("programs", nargs="*", default=list(PROGRAMS), help="default: all of " + ", ".join(PROGRAMS))
    told.add_argument("--seconds", type=float, default=30)
    told.add_argument("--lines", type=int, default=1_000_000)
    told.add_argument("--flightdeck", type=pathlib.Path, default=ROOT / "target/release/flightdeck")
    told = told.parse_args()
    world = World(told.flightdeck.resolve())
    try:
        print(f"{'program':<12}{'paint':>9}{'rest CPU':>10}{'wakes/s':>9}{'CPU':>8}{'wakes/s':>9}{'MiB':>6}{'key p50':>10}{'p99':>10}{'flood':>10}{'keeps up':>10}{'lost':>7}{'MiB':>7}{'kept':>11}")
        for name in told.programs:
            program = PROGRAMS[name]
            if not shutil.which(program["argv"](world, "")[0]):
                print(f"SKIPPED {name}: it is not on the PATH")
                continue
            first = f"{paint(world, program):.0f} ms" if program["key"] else "-"
            rest = resting(world, program, told.seconds / 2)
            cpu, woken, memory, keys = followed(world, program, told.seconds)
            key = [f"{percentile(keys, share):.1f} ms" if keys else "-" for share in (0.5, 0.99)]
            flood = f"{flooded(world, program):.1f} ms" if keys else "-"
            kept, lost = keeps_up(world, program)
            after, left = million(world, program, told.lines)
            after = "never" if after is None else f"{after:.0f}"
            left = "-" if left is None else f"{left:,}"
            print(f"{name:<12}{first:>9}{rest[0]:>8.1f} %{rest[1]:>9.1f}{cpu:>6.1f} %{woken:>9.0f}{memory:>6.0f}{key[0]:>10}{key[1]:>10}{flood:>10}{kept:>10,}{lost:>7}{after:>7}{left:>11}", flush=True)
    finally:
        world.close()


if __name__ == "__main__":
    main()
