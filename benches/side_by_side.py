#!/usr/bin/env python3
"""Compares Flightdeck with kubectl and other consoles while they follow the same log on the same machine.

    cargo build --release
    cargo install kubetui kdash --root target/peers-rs
    pip install pyte
    PATH=target/peers-rs/bin:$PATH benches/side_by_side.py [--seconds 30] [--lines 1000000] [NAME ...]

The log is that of a docs run on the embedded cluster, whose agent (a script in this file) writes numbered lines of 120 bytes.
Each program runs alone in a terminal of 140x40 and opens the log with keys, as a user would. Results:

  paint      time from the start to the first text on the screen
  rest       CPU and wake-ups (voluntary context switches of all threads) per second while idle
  follow     CPU, wake-ups and resident memory while 1,000 lines per second arrive
  key        time from a key to its effect on the screen while they arrive, of 200 keys
  flood      the same, p99, while 50,000 lines per second arrive
  keeps up   highest tested number of lines per second with the last line on the screen within a second
  lost       of 5,000 lines, those that are not found when scrolling through the log
  MiB        resident memory after --lines lines at 20,000 per second; "never" if the last was not shown within two minutes
  kept       of these, the lines that can still be scrolled to

Requires pyte, to read the screens, and Linux (/proc). Programs that are not on the PATH are skipped.
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
config = json.load(open({config!r}))
rate, count = config["rate"], config["count"]
def lines(a, b):
    return b"".join(b"seq %09d %s\\n" % (i, b"x" * {pad}) for i in range(a, b))
def put(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]
put(b"!!WRITER!HERE!!\\n")
while not os.path.exists(config["go"]):
    time.sleep(0.01)
start, n = time.monotonic(), 0
while n < count:
    due = min(count, int((time.monotonic() - start) * rate))
    if due > n:
        put(lines(n, due))
        n = due
    time.sleep(0.01)
# More lines follow, because some programs use the last rows of the screen for other things.
put(b"!!WRITER!DONE!!\\n" + b"after\\n" * 5)
with open(config["done"], "w") as file:
    file.write(str(time.time()))
time.sleep(config["rest"])
'''

ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


class Terminal:
    """A program in a pseudo-terminal; a thread reads its output and records the times."""

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
                    # Answer queries of the cursor position and the terminal type.
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
        """Returns the monotonic time at which matching text arrived, or None."""
        wanted = re.compile(wanted)
        limit = time.monotonic() + timeout
        with self.lock:
            seen, from_ = -1, since
            while True:
                if len(self.data) != seen:
                    seen = len(self.data)
                    if wanted.search(ESCAPES.sub(b"", bytes(self.data[from_:]))):
                        return self.times[-1][0]
                    # A match may span two reads.
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
                    # Join the reader before closing: the file descriptor may be reused.
                    self.reader.join()
                    os.close(self.fd)
                    return
                time.sleep(0.02)


class Cost:
    """CPU and wake-ups of a process and its threads since a point in time."""

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
    """A repository with its remote, a home directory, an embedded cluster, and the writing agent."""

    def __init__(self, flightdeck):
        self.flightdeck = str(flightdeck)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="side-by-side-"))
        for name in ("home", "bin", "repo/.taskmaster/tasks"):
            (self.dir / name).mkdir(parents=True)
        self.config = self.dir / "config.json"
        self.go = self.dir / "go"
        self.done = self.dir / "done"
        agent = self.dir / "bin/claude"
        agent.write_text(AGENT.format(python=sys.executable, config=str(self.config), pad=LINE - 15))
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
        self.config.write_text(json.dumps({"rate": rate, "count": count, "rest": rest, "go": str(self.go), "done": str(self.done)}))
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


# argv: arguments. log: keys that open the log of the only run, each with the text to wait for before. key, answer, undo: a key,
# the text it shows, and the key that hides it; key is None for a program without keys. into: keys that move the focus to the log,
# if opening it does not.
PROGRAMS = {
    "flightdeck": dict(argv=lambda w, pod: [w.flightdeck], log=[(rb"docs-main", b"2"), (None, b"l")], key=b"?", undo=b"\x1b", answer=rb"help|Help|Keys"),
    "kubectl": dict(argv=lambda w, pod: ["kubectl", "logs", "-f", pod, "-c", "agent"], log=[], key=None),
    "kubetui": dict(argv=lambda w, pod: ["kubetui", "-n", "default"], log=[(rb"-agent-", b"\r")], into=b"\t\t", key=b"?", undo=b"\x1b", answer=rb"Help|help"),
    "kdash": dict(argv=lambda w, pod: ["kdash", "-n", "default"], log=[(rb"docs-main-", b"\r"), (rb"agent", b"\r")], key=b"?", undo=b"\x1b", answer=rb"Help|Keybindings"),
}
RATES = [1_000, 5_000, 20_000, 50_000, 100_000]


def paint(world, program):
    """Returns the median time from the start to the first text, in milliseconds."""
    times = []
    for _ in range(5):
        terminal = Terminal(program["argv"](world, None), world.env, world.repo)
        at = terminal.first(rb"[A-Za-z]{3}")
        times.append(1000 * (at - terminal.started))
        terminal.end()
    return statistics.median(times)


def resting(world, program, seconds):
    """Returns CPU and wake-ups per second of an idle program."""
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
    """Opens the log, then starts the writer: some programs show only the end of existing lines."""
    terminal = Terminal(program["argv"](world, pod), world.env, world.repo)
    for wanted, keys in [*program["log"], (rb"!!WRITER!HERE!!", b"")]:
        if wanted and terminal.first(wanted, timeout=20) is None:
            raise SystemExit(f"timeout waiting for {wanted!r}; the screen: {ESCAPES.sub(b' ', bytes(terminal.data))[-800:]!r}")
        time.sleep(0.6)
        terminal.type(keys)
    world.go.touch()
    return terminal


def latencies(terminal, program, times=200):
    """Returns the times from a key to its effect, in milliseconds. With few keys, p99 is just the slowest."""
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
    """Returns the p99 time from a key to its effect, in milliseconds, while 50,000 lines per second arrive."""
    run = world.launch(rate=50_000, count=10**9)
    terminal = open_log(world, program, world.pod(run))
    time.sleep(3)
    keys = latencies(terminal, program)
    terminal.end()
    world.remove(run)
    return percentile(keys, 0.99)


def late(world, terminal, timeout):
    """Returns the time from writing the last line to showing it, in seconds; None if it is not shown."""
    shown = terminal.first(b"!!WRITER!DONE!!", timeout=timeout)
    if shown is None:
        return None
    return max(0.0, time.time() - (time.monotonic() - shown) - float(world.done.read_text()))


def keeps_up(world, program):
    """Returns the highest rate that the program keeps up with, and the number of lines lost of 5,000."""
    kept, lost = 0, 0
    for rate in RATES:
        run = world.launch(rate=rate, count=5 * rate)
        terminal = open_log(world, program, world.pod(run))
        behind = late(world, terminal, 30)
        if rate == RATES[0]:
            lost = len(set(range(5 * rate)) - scroll_through(terminal, program))
        terminal.end()
        world.remove(run)
        if behind is None or behind > 1:
            break
        kept = rate
    return kept, lost


NUMBER = re.compile(r"seq (\d{9})")


class ScreenReader:
    """Reads the screen of a program with pyte, after making the program redraw it."""

    def __init__(self, terminal, program):
        self.terminal, self.screen = terminal, pyte.Screen(139, 40)
        self.stream = pyte.ByteStream(self.screen)
        terminal.type(program.get("into", b""))
        time.sleep(0.2)
        self.fed = terminal.mark()
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 139, 0, 0))
        time.sleep(0.5)

    def numbers(self):
        """Returns the numbers of the lines on the screen, once it has not changed for a moment."""
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


def scroll_through(terminal, program):
    """Returns the numbers of all lines seen when scrolling from the first to the last."""
    if not program["key"]:
        return {int(n) for n in NUMBER.findall(bytes(terminal.data).decode())}
    reader = ScreenReader(terminal, program)
    seen = before = reader.to_the_first()
    unchanged = 0
    # Some programs first move a cursor to the last row.
    while unchanged * 10 <= reader.screen.lines:
        # By lines, because pages of some programs are longer than the screen.
        terminal.type(b"\x1b[B" * 10)
        now = reader.numbers()
        unchanged = unchanged + 1 if now == before else 0
        seen, before = seen | now, now
    return seen


def million(world, program, lines):
    """Returns the resident memory in MiB after that many lines (None if the last was not shown), and the number of lines kept."""
    run = world.launch(rate=20_000, count=lines)
    terminal = open_log(world, program, world.pod(run))
    behind = late(world, terminal, lines / 20_000 + 120)
    memory = resident(terminal.pid)
    kept = None
    if behind is not None and program["key"]:
        kept = lines - min(ScreenReader(terminal, program).to_the_first(), default=lines)
    terminal.end()
    world.remove(run)
    return memory if behind is not None else None, kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", default=list(PROGRAMS), help="default: " + ", ".join(PROGRAMS))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--flightdeck", type=pathlib.Path, default=ROOT / "target/release/flightdeck")
    options = parser.parse_args()
    world = World(options.flightdeck.resolve())
    try:
        print(f"{'program':<12}{'paint':>9}{'rest CPU':>10}{'wakes/s':>9}{'CPU':>8}{'wakes/s':>9}{'MiB':>6}{'key p50':>10}{'p99':>10}{'flood':>10}{'keeps up':>10}{'lost':>7}{'MiB':>7}{'kept':>11}")
        for name in options.programs:
            program = PROGRAMS[name]
            if not shutil.which(program["argv"](world, "")[0]):
                print(f"SKIPPED {name}: not on the PATH")
                continue
            first = f"{paint(world, program):.0f} ms" if program["key"] else "-"
            rest = resting(world, program, options.seconds / 2)
            cpu, woken, memory, keys = followed(world, program, options.seconds)
            key = [f"{percentile(keys, share):.1f} ms" if keys else "-" for share in (0.5, 0.99)]
            flood = f"{flooded(world, program):.1f} ms" if keys else "-"
            kept, lost = keeps_up(world, program)
            after, left = million(world, program, options.lines)
            after = "never" if after is None else f"{after:.0f}"
            left = "-" if left is None else f"{left:,}"
            print(f"{name:<12}{first:>9}{rest[0]:>8.1f} %{rest[1]:>9.1f}{cpu:>6.1f} %{woken:>9.0f}{memory:>6.0f}{key[0]:>10}{key[1]:>10}{flood:>10}{kept:>10,}{lost:>7}{after:>7}{left:>11}", flush=True)
    finally:
        world.close()


if __name__ == "__main__":
    main()
