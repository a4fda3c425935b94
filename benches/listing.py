"""Listings and a large catalogue: the mount against the same names on the local disk, and from start to the first answer."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import FOLDER, ROUNDS, compare, drop_caches, fresh, mounted, seconds, simulated, sized, tell

# datasets × products of the tree that is listed: 8 names per product and 3 per dataset, 100 378 in all
LISTED = sized((125, 100), (3, 4))
# datasets × products of the large catalogue
LARGE = sized((10_000, 100), (60, 5))
WALKS = {"ls -lR": ("ls", "-lR", None), "find": ("find", None), "du -a": ("du", "-a", None)}
NOBODY = "http://127.0.0.1:9/api"


def scenario(datasets, products):
    """A catalogue of so many datasets with so many products each."""
    return f"queued = '0s'\nrunning = '0s'\ngenerate = {{ datasets = {datasets}, products = {products} }}\n"


def walk(words, path):
    """Seconds for a walk over a tree."""
    command = [path if word is None else word for word in words]
    return seconds(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


def listing():
    """100 000 names, for the first time and again."""
    print("listing: 100 000 names, against the same names on the local disk", flush=True)
    native = FOLDER / "listing-native"
    with simulated(scenario=scenario(*LISTED)) as (api, key):
        cache = fresh(FOLDER / "listing-cache")
        with mounted(api, key, cache) as (point, _):
            if not native.exists():
                shutil.copytree(point, native, copy_function=copy_name)
        for name, words in WALKS.items():

            def first(words=words):
                with mounted(api, key, cache) as (point, _):
                    drop_caches()
                    return walk(words, point)

            def first_native(words=words):
                drop_caches()
                return walk(words, native)

            note = "" if drop_caches() else "caches not dropped"
            compare("listing", f"{name} of 100 000, first time", first, {"local disk": first_native}, 1 if name == "ls -lR" else None, note=note)
        with mounted(api, key, cache) as (point, _):
            for name, words in WALKS.items():
                compare("listing", f"{name} of 100 000, again", lambda: walk(words, point), {"local disk": lambda: walk(words, native)})


def copy_name(source, target):
    """A file of the same name, size and time."""
    status = os.stat(source)
    Path(target).write_bytes(b"\0" * status.st_size)
    os.utime(target, (status.st_mtime, status.st_mtime))


def memory(process):
    """Resident memory in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def catalogue():
    """From start to the first `ls` with a million products, without a network."""
    print("catalogue: 10 000 datasets × 100 products", flush=True)
    cache = FOLDER / "catalogue-cache"
    if not (cache / "catalog.json").exists():
        with simulated(scenario=scenario(*LARGE)) as (api, key), mounted(api, key, cache) as (point, _):
            until = time.monotonic() + 300
            while len(os.listdir(point)) < LARGE[0] and time.monotonic() < until:
                time.sleep(0.2)  # the answer is the condition; from outside there is nothing else to wait on
    answers, resident = [], []
    for _ in range(ROUNDS):
        drop_caches()
        start = time.perf_counter()
        with mounted(NOBODY, "none", cache, "--catalog-ttl", "9000h") as (point, process):
            assert len(os.listdir(point)) > LARGE[0], "the whole catalogue is there"
            answers.append(time.perf_counter() - start)
            resident.append(memory(process))
    tell("catalogue", "start to `ls` of the root, caches dropped", statistics.median(answers), "s", at_most=1)
    tell("catalogue", "resident memory then", max(resident), "MiB", at_most=300)
    with mounted(NOBODY, "none", cache, "--catalog-ttl", "9000h") as (point, process):
        tell("catalogue", "`ls -l` of the 10 000 datasets", walk(("ls", "-l", None), point), "s")
        for number in range(0, 50, 10):
            walk(("ls", "-R", None), point / f"dataset-{number:05}")
        tell("catalogue", "resident memory after `ls -R` of 5 datasets", memory(process), "MiB", at_most=300)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts = {part.__name__: part for part in (listing, catalogue)}
    for name in sys.argv[1:] or parts:
        parts[name]()
