"""What all benches share: rows `ours / peer` from alternating runs, a mount over the simulated service, commands with their costs."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

ROUNDS = int(os.environ.get("CLMSFS_BENCH_ROUNDS", "5"))
# Everything at a fraction of its size, to see that it runs: figures of such a run mean nothing and do not get into the page.
SMALL = bool(os.environ.get("CLMSFS_BENCH_SMALL"))
PROGRAM = Path(os.environ.get("CLMSFS_BENCH_PROGRAM", "target/release/clmsfs")).resolve()
COMMIT = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
FOLDER = Path(os.environ.get("CLMSFS_BENCH_FOLDER", "target/bench-small" if SMALL else "target/bench")).resolve()


def sized(full, small):
    """The size of something in a full run and in a small one."""
    return small if SMALL else full


@dataclass
class Row:
    """One line of docs/PERFORMANCE.md: medians of two ways to do the same work, and how much faster ours is."""

    group: str
    work: str
    ours: float
    peer: float
    unit: str
    ratio: float
    target: float | None
    peer_name: str
    note: str = ""

    @property
    def reached(self):
        return self.target is None or self.ratio >= self.target

    def tell(self):
        """Prints the row for people, and as a line of JSON into the folder of results."""
        wanted = "" if self.target is None else f"  (wanted {self.target:g}{'' if self.reached else ': MISSED'})"
        print(f"  {self.work}: {self.ours:.4g} {self.unit}, {self.peer_name} {self.peer:.4g}: {self.ratio:.2f} ×{wanted}", flush=True)
        with open(FOLDER / "results.jsonl", "a") as results:
            results.write(json.dumps(asdict(self) | {"measured": f"{date.today()} at {COMMIT}"}) + "\n")


def compare(group, work, ours, peers, target=None, unit="s", faster="less", rounds=ROUNDS, note=""):
    """Runs `ours` and every one of `peers` (name: function) in turns; each returns a figure. A row for each peer.

    `target` is a number for all peers, or one for each name. `faster` says whether less (seconds) or more (MB/s) is better.
    """
    figures = {"ours": []} | {name: [] for name in peers}
    for number in range(rounds):
        order = [("ours", ours), *peers.items()]
        # Who comes first changes, so that nobody always finds what the other one has left in caches.
        for name, run in order if number % 2 == 0 else reversed(order):
            figures[name].append(run())
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name in peers:
        mine, other = medians["ours"], medians[name]
        ratio = other / mine if faster == "less" else mine / other
        wanted = target.get(name) if isinstance(target, dict) else target
        Row(group, work, mine, other, unit, ratio, wanted, name, note).tell()
    return medians


def tell(group, work, value, unit, at_most=None, note=""):
    """A row without a peer: a figure and the most it may be."""
    ratio = at_most / value if at_most else float("nan")
    Row(group, work, value, at_most or float("nan"), unit, ratio, 1.0 if at_most else None, "at most", note).tell()


@dataclass
class Cost:
    """What a command has cost."""

    wall: float
    cpu: float
    memory: float  # MiB at the peak, of the largest process


def cost(command, **options):
    """Runs a command to its end and gives what it cost."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, **options)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(map(str, command))}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def source_raster(raster, package, dtype, side, options):
    """Writes a raster and its package, in a process of its own: the kernel counts the memory of this one to those that it starts."""
    command = [sys.executable, Path(__file__).with_name("rasters.py"), raster, package, dtype, str(side), json.dumps(options)]
    subprocess.run(command, check=True)


def peak_memory(pid):
    """Most memory that a running process has had, in MiB. (`ru_maxrss` is that of its parent where the parent was larger.)"""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None  # it is ending


def seconds(run):
    """How long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def drop_caches():
    """Empties the kernel's caches of pages, names and inodes, where we may; false where we may not."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def ended(command, **options):
    """A process that ends with the block."""
    process = subprocess.Popen([str(part) for part in command], text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def simulated(data=None, scenario="queued = '0s'\nrunning = '0s'\n"):
    """The simulated service: its address and the file with its key."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "scenario.toml").write_text(scenario)
        key = Path(folder, "key.json")
        command = [PROGRAM, "simulate", "--key-out", key, "--scenario", Path(folder, "scenario.toml")]
        command += ["--data", data] if data else []
        with ended(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            yield json.loads(process.stdout.readline())["api"], key


@contextlib.contextmanager
def mounted(api, key, cache, *options, log="warn", stderr=None):
    """A mount; gives its folder and its process. What it logs goes to `stderr`."""
    point = Path(tempfile.mkdtemp(prefix="clmsfs-bench-"))
    command = [PROGRAM, "mount", "--api-url", api, "--credentials", key, "--cache-dir", cache, "--log", log, *options, point]
    with ended(command, stdout=subprocess.PIPE, stderr=stderr) as process:
        if not process.stdout.readline().startswith("mounted"):
            raise SystemExit("the mount did not come up")
        try:
            yield point, process
        finally:
            subprocess.run([PROGRAM, "umount", point], check=False, capture_output=True)
    point.rmdir()


def verb(point, *words):
    """A verb of the program, for the mount at `point`."""
    subprocess.run([PROGRAM, words[0], "--mount", point, *words[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fresh(folder):
    """An empty folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    return Path(folder)


def missing(*programs):
    """Says which of the programs are not here."""
    gone = [name for name in programs if not shutil.which(name)]
    if gone:
        print(f"SKIPPED: {', '.join(gone)} is missing ('make bench' installs it)", file=sys.stderr)
    return gone
