#!/usr/bin/env python3
"""Listings, a large catalogue and Zarr chunks: the mount beside the same names and bytes on the local disk.

    benches/listing.py --program target/release/clmsfs --work DIR [listing] [catalogue] [chunks] [--rounds 5]

Each round does the same work on the mount and on the disk (DIR must lie on it), one after the other, in turns.
Every line on stdout is a JSON object: what, medians in seconds, ratio ours/native or native/ours (`ratio` is always
"how fast we are compared with the disk": 1 is as fast, 2 twice as fast). Caches are dropped where root may.
Standard library only. The work folder may be kept: what takes long to make is used again.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

QUICK = 'queued = "0s"\nrunning = "0s"\n'
# datasets × products of the tree that is listed: 8 names per product and 3 per dataset, 100 378 in all
LISTED = (125, 100)
# datasets × products of the large catalogue
LARGE = (10_000, 100)
TILE = 512
TILES = 100  # per side


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("parts", nargs="*", default=["listing", "catalogue", "chunks"])
    arguments.add_argument("--program", default="target/release/clmsfs", type=Path)
    arguments.add_argument("--work", required=True, type=Path)
    arguments.add_argument("--rounds", default=5, type=int)
    chosen = arguments.parse_args()
    # unmounts when somebody ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    chosen.program = chosen.program.resolve()
    chosen.work.mkdir(parents=True, exist_ok=True)
    chosen.work = chosen.work.resolve()
    for part in chosen.parts:
        {"listing": listing, "catalogue": catalogue, "chunks": chunks}[part](chosen)


def report(what: str, **figures) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


def compare(what: str, rounds: int, ours, native, **more) -> None:
    """Runs both `rounds` times in turns; each returns its seconds."""
    times = {"ours": [], "native": []}
    for number in range(rounds):
        for name in ("ours", "native") if number % 2 == 0 else ("native", "ours"):
            times[name].append({"ours": ours, "native": native}[name]())
    ours_s, native_s = statistics.median(times["ours"]), statistics.median(times["native"])
    report(what, ours=ours_s, native=native_s, ratio=native_s / ours_s, rounds=rounds, **more)


# --- programs -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def simulator(chosen, folder: Path, scenario: str, data: Path | None = None):
    """A simulated service; gives (address of the API, key file)."""
    (folder / "scenario.toml").write_text(scenario)
    key = folder / "key.json"
    command = [chosen.program, "simulate", "--listen", "127.0.0.1:0", "--key-out", key]
    command += ["--scenario", folder / "scenario.toml"] + (["--data", data] if data else [])
    with open(folder / "simulate.log", "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield json.loads(process.stdout.readline())["api"], key
    finally:
        process.terminate()
        process.wait()


class Mount:
    """A running mount; `seconds` from its start until it answers."""

    def __init__(self, chosen, folder: Path, api: str, *flags):
        self.point, cache = folder / "mount", folder / "cache"
        self.point.mkdir(exist_ok=True)
        command = [chosen.program, "mount", self.point, "--api-url", api, "--cache-dir", cache, *flags]
        start = time.perf_counter()
        with open(folder / "mount.log", "w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        if not self.process.stdout.readline().startswith("mounted"):
            sys.exit(f"the mount failed, see {folder}/mount.log")
        self.seconds = time.perf_counter() - start

    def memory(self) -> dict:
        """Resident memory now and at its highest, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        mib = lambda key: int(lines[key].split()[0]) / 1024  # noqa: E731
        return {"rss_mib": mib("VmRSS"), "peak_mib": mib("VmHWM")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def drop_caches() -> bool:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    subprocess.run(["ls", "-l", "/proc/self"], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["find", "/proc/self/net"], stdout=subprocess.DEVNULL, check=False)
    return True


def seconds(*command) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


# --- ls and find over 100 000 names ---------------------------------------------------------------------------------

WALKS = {
    "ls -lR": ("ls", "-lR"),
    "find": ("find",),
    "find -newer": ("find", "-newer", "/etc/hostname"),
    "du -a": ("du", "-a"),
}


def listing(chosen) -> None:
    folder = chosen.work / "listing"
    folder.mkdir(exist_ok=True)
    scenario = QUICK + f"generate = {{ datasets = {LISTED[0]}, products = {LISTED[1]} }}\n"
    native = folder / "native"
    with simulator(chosen, folder, scenario) as (api, _):
        with Mount(chosen, folder, api) as mount:
            if not native.exists():
                copy_names(mount.point, native)
            names = sum(1 + len(files) for _, _, files in os.walk(mount.point))

        for name, walk in WALKS.items():
            def once(path: Path, walk=walk) -> float:
                line = ("find", path, *walk[1:]) if walk[0] == "find" else (*walk, path)
                return seconds(*line)

            def first() -> float:
                with Mount(chosen, folder, api) as mount:
                    drop_caches()
                    return once(mount.point)

            def first_native() -> float:
                drop_caches()
                return once(native)

            dropped = drop_caches()
            compare(f"{name}, first time", chosen.rounds, first, first_native, names=names, dropped=dropped)
        with Mount(chosen, folder, api) as mount:
            for name in WALKS:
                again = lambda path, walk=WALKS[name]: seconds(  # noqa: E731
                    *(("find", path, *walk[1:]) if walk[0] == "find" else (*walk, path))
                )
                again(mount.point), again(native)
                compare(f"{name}, again", chosen.rounds, lambda: again(mount.point), lambda: again(native))
            report("memory after listing", **mount.memory())


def copy_names(source: Path, target: Path) -> None:
    """The same tree on the disk: names, sizes (of what is known), times."""
    shutil.copytree(source, target, copy_function=copy_file, symlinks=True)


def copy_file(source: str, target: str) -> None:
    status = os.stat(source)
    Path(target).write_bytes(b"\0" * status.st_size)
    os.utime(target, (status.st_mtime, status.st_mtime))


# --- a large catalogue ----------------------------------------------------------------------------------------------


def catalogue(chosen) -> None:
    folder = chosen.work / "catalogue"
    folder.mkdir(exist_ok=True)
    scenario = QUICK + f"generate = {{ datasets = {LARGE[0]}, products = {LARGE[1]} }}\n"
    if not (folder / "cache/catalog.json").exists():
        with simulator(chosen, folder, scenario) as (api, _):
            with Mount(chosen, folder, api) as mount:
                until = time.monotonic() + 300
                while len(os.listdir(mount.point)) < LARGE[0] and time.monotonic() < until:
                    time.sleep(0.2)  # the answer is the condition; there is nothing to wait on from outside
                report("first start, catalogue from the service", seconds=mount.seconds, **mount.memory())
    # from the snapshot, without a network: nobody listens there
    starts, answers, named, counted, memory = [], [], [], [], []
    for _ in range(chosen.rounds):
        drop_caches()
        start = time.perf_counter()
        with Mount(chosen, folder, "http://127.0.0.1:9/api", "--catalog-ttl", "9000h") as mount:
            starts.append(mount.seconds)
            counted.append(len(os.listdir(mount.point)))
            answers.append(time.perf_counter() - start)
            seconds("ls", "-l", mount.point / f"dataset-{LARGE[0] // 2:05}")
            named.append(time.perf_counter() - start)
            memory.append(mount.memory())
    report(
        "start from the snapshot",
        datasets=min(counted) - 3,
        mounted=statistics.median(starts),
        ls_of_root=statistics.median(answers),
        ls_of_a_dataset_too=statistics.median(named),
        rss_mib=max(one["rss_mib"] for one in memory),
        rounds=chosen.rounds,
    )
    with Mount(chosen, folder, "http://127.0.0.1:9/api", "--catalog-ttl", "9000h") as mount:
        took = seconds("ls", "-l", mount.point)
        report("ls -l of all datasets", seconds=took, **mount.memory())
        took = seconds("ls", "-R", *[mount.point / f"dataset-{number:05}" for number in range(0, 50, 10)])
        report("ls -R of 5 datasets", seconds=took, **mount.memory())
        some = LARGE[0] // 20
        took = seconds("ls", "-lR", *[mount.point / f"dataset-{number:05}" for number in range(some)])
        report(f"ls -lR of {some} datasets", names=some * (LARGE[1] * 8 + 3), seconds=took, **mount.memory())
        took = seconds("find", mount.point, "-maxdepth", "2", "-type", "d")
        report("find of every product", products=LARGE[0] * LARGE[1], seconds=took, **mount.memory())


# --- chunks of a Zarr -----------------------------------------------------------------------------------------------


def chunks(chosen) -> None:
    folder = chosen.work / "chunks"
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "grid.zip").exists():
        write_package(data / "grid.zip")
    native = folder / "native"
    with simulator(chosen, folder, QUICK, data) as (api, key):
        with Mount(chosen, folder, api, "--credentials", key, "--poll-min", "10ms") as mount:
            zarr = mount.point / "data/grid/grid.zarr"
            (zarr / "zarr.json").read_bytes()
            if not native.exists():
                shutil.copytree(zarr / "band", native)
            names = [f"{row}/{column}" for row in range(TILES) for column in range(TILES)]
            random.Random(7).shuffle(names)
            for base in (zarr / "band", native):
                read_all(base, names), read_all(base, names)
            ours, theirs = (lambda: read_all(zarr / "band", names)), (lambda: read_all(native, names))
            compare("open+read+close of 10 000 chunks, warm", chosen.rounds, ours, theirs)

            def cold(base: Path) -> float:
                drop_caches()
                return read_all(base, names)

            compare(
                "open+read+close of 10 000 chunks, caches dropped",
                chosen.rounds,
                lambda: cold(zarr / "band"),
                lambda: cold(native),
            )
            report("memory after reading chunks", **mount.memory())


def read_all(base: Path, names: list) -> float:
    paths = [f"{base}/{name}" for name in names]
    opened, read, close, flags = os.open, os.read, os.close, os.O_RDONLY | os.O_CLOEXEC
    start = time.perf_counter()
    for path in paths:
        number = opened(path, flags)
        while read(number, 1 << 20):
            pass
        close(number)
    return time.perf_counter() - start


def write_package(path: Path) -> None:
    """A zip with a tiled GeoTIFF of TILES × TILES tiles of 512² classes (deflate), some kilobytes each."""
    chance = random.Random(1)
    kinds = []
    for _ in range(32):
        rows = []
        for _ in range(TILE // 8):
            row = bytes(chance.choice((1, 2, 3, 7)) for _ in range(TILE // 8))
            rows.append(bytes(value for value in row for _ in range(8)) * 8)
        noisy = bytearray(b"".join(rows))
        for _ in range(6000):
            noisy[chance.randrange(len(noisy))] = chance.randrange(1, 20)
        kinds.append(zlib.compress(bytes(noisy), 6))
    side, count = TILE * TILES, TILES * TILES
    tags = [
        (256, 4, [side]), (257, 4, [side]), (258, 3, [8]), (259, 3, [8]), (262, 3, [1]), (277, 3, [1]),
        (284, 3, [1]), (322, 3, [TILE]), (323, 3, [TILE]), (324, 4, [0] * count), (325, 4, [0] * count),
        (339, 3, [1]), (33550, 12, [10.0, 10.0, 0.0]), (33922, 12, [0.0, 0.0, 0.0, 4_000_000.0, 3_500_000.0, 0.0]),
        (34735, 3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3035]),
        (42113, 2, b"0\0"),
    ]  # fmt: skip
    letter = {3: "H", 4: "I", 12: "d"}
    tile_bytes = [kinds[number % len(kinds)] for number in range(count)]
    offset, offsets = 8, []
    for one in tile_bytes:
        offsets.append(offset)
        offset += len(one) + len(one) % 2
    values = {324: offsets, 325: [len(one) for one in tile_bytes]}
    entries, extra, extra_at = b"", b"", offset + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        value = values.get(tag, value)
        packed = value if kind == 2 else struct.pack(f"<{len(value)}{letter[kind]}", *value)
        if len(packed) > 4:
            field, extra = struct.pack("<I", extra_at + len(extra)), extra + packed + b"\0" * (len(packed) % 2)
        else:
            field = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(value)) + field
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as package, package.open("grid.tif", "w") as out:
        out.write(b"II*\0" + struct.pack("<I", offset))
        for one in tile_bytes:
            out.write(one + b"\0" * (len(one) % 2))
        out.write(struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + extra)


if __name__ == "__main__":
    main()
