"""Packages to entries: against GDAL's COG driver, gdal_translate to Zarr, and the way of xcube-clms; growth with size.

Ours is what a mount does: the program's own converting process, walls included, from the downloaded zip to the synced entry.
The peers begin with the unpacked GeoTIFF, so the time until ours has unpacked is told apart.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from measure import FOLDER, PROGRAM, ROUNDS, Cost, Row, compare, cost, fresh, peak_memory, sized, source_raster, tell

SIDE = sized(20_000, 2_000)
SIDES = sized((5_000, 10_000, 20_000, 40_000, 100_000), (1_000, 2_000))
TILED = {"TILED": True, "BLOCKXSIZE": 512, "BLOCKYSIZE": 512}
# name: pixels, how they are stored, how many times faster than the COG driver and than xarray's way.
SOURCES = {
    "uint8-lzw": ("uint8", {"COMPRESS": "LZW"}, 6, 10),
    "uint8-deflate": ("uint8", {"COMPRESS": "DEFLATE", **TILED}, 6, 10),
    "uint8-deflate-256": ("uint8", {"COMPRESS": "DEFLATE", **TILED, "BLOCKXSIZE": 256, "BLOCKYSIZE": 256}, 6, 10),
    "float32-lzw": ("float32", {"COMPRESS": "LZW"}, 3, None),
    "float32-deflate": ("float32", {"COMPRESS": "DEFLATE", **TILED, "ZLEVEL": 1}, 3, None),
}


# Those that are compared with everything; half an hour is enough.
FULLY_COMPARED = ("uint8-lzw", "uint8-deflate", "float32-deflate")


@dataclass
class Conversion(Cost):
    """What one of our conversions has cost; `stages` are seconds by the converter's own clock."""

    stages: dict
    size: int


def convert(package, staging):
    """Converts a package in the converting process, as the mount does."""
    # As `ingest_memory` of a mount has it, where nobody says otherwise.
    limits = {"memory_bytes": 512_000_000}
    job = {"package": str(package), "staging": str(fresh(staging)), "product": "product", "limits": limits}
    start = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, "ingest-child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"MALLOC_ARENA_MAX": "4", "PROJ_NETWORK": "OFF"}
    )

    def say(what):
        process.stdin.write(what)
        process.stdin.flush()

    say(json.dumps(job).encode() + b"\n")
    stages, memory = {}, 0
    for line in process.stdout:
        message = json.loads(line)
        progress = message.get("progress", {})
        if "room" in progress:
            say(b"+")
        elif "took" in progress:
            stages[progress["took"]["stage"]] = progress["took"]["milliseconds"] / 1000
            memory = peak_memory(process.pid) or memory
        elif "failed" in message:
            raise SystemExit(f"failed to convert {package}: {message['failed']}")
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdin.close()
    size = sum(path.stat().st_size for path in Path(staging).rglob("*") if path.is_file())
    return Conversion(wall, used.ru_utime + used.ru_stime, memory, stages, size)


def source(name, dtype, side, options):
    """A raster and its package, made once."""
    raster, package = FOLDER / f"{name}-{side}.tif", FOLDER / f"{name}-{side}.zip"
    if not package.exists():
        source_raster(raster, package, dtype, side, options)
    return raster, package


def cog(raster, dtype):
    """GDAL's COG driver with what an entry has: zstd, overviews by mode or average, as many threads."""
    target = FOLDER / "peer.tif"
    target.unlink(missing_ok=True)
    method = "MODE" if dtype == "uint8" else "AVERAGE"
    options = ["COMPRESS=ZSTD", "LEVEL=1", f"NUM_THREADS={os.cpu_count()}", "BIGTIFF=YES", f"RESAMPLING={method}", "STATISTICS=YES"]
    return cost(["gdal_translate", "-q", "-of", "COG", *(word for option in options for word in ("-co", option)), raster, target])


def gdal_zarr(raster):
    """GDAL's Zarr driver; no overviews."""
    target = fresh(FOLDER / "peer.zarr")
    target.rmdir()
    return cost(["gdal_translate", "-q", "-of", "Zarr", "-co", "COMPRESS=ZSTD", "-co", "ZSTD_LEVEL=1", "-co", "BLOCKSIZE=512,512", raster, target])


def xarray_zarr(raster):
    """The way of xcube-clms; no overviews."""
    fresh(FOLDER / "peer.zarr")
    return cost([sys.executable, Path(__file__).with_name("xarray_way.py"), raster, FOLDER / "peer.zarr"])


def against_peers():
    """Every source against every peer."""
    print("convert: package → entry, against tools that begin with the unpacked GeoTIFF", flush=True)
    for name, (dtype, options, than_cog, than_xarray) in SOURCES.items():
        raster, package = source(name, dtype, SIDE, options)
        conversions, peers = [], {}

        def ours():
            conversions.append(convert(package, FOLDER / "staging"))
            stages = conversions[-1].stages
            return conversions[-1].wall - stages["unpacking"]

        def peer(label, run):
            def measured():
                used = run()
                peers.setdefault(label, []).append(used)
                return used.wall

            return measured

        run = {"COG driver": peer("COG driver", lambda: cog(raster, dtype))}
        if name in FULLY_COMPARED:
            run["gdal_translate to Zarr"] = peer("Zarr", lambda: gdal_zarr(raster))
        if name in FULLY_COMPARED and than_xarray:
            run["xarray's way"] = peer("xarray", lambda: xarray_zarr(raster))
        targets = {"COG driver": than_cog, "xarray's way": than_xarray}
        compare("convert", f"{name} {SIDE}²", ours, run, targets)
        best = min(conversions, key=lambda conversion: conversion.wall)
        stages = ", ".join(f"{stage} {took:.2f}" for stage, took in best.stages.items())
        costs = [f"ours {best.wall:.2f} s with unpacking ({stages}), {best.cpu:.1f} s CPU, {best.memory:.0f} MiB, {best.size / 1e6:.0f} MB"]
        for label, all_used in peers.items():
            used = min(all_used, key=lambda used: used.wall)
            costs.append(f"{label} {used.cpu:.1f} s CPU, {used.memory:.0f} MiB")
        print(f"    {'; '.join(costs)}", flush=True)


def raw_copy():
    """Tiles of level 0 that are copied, against cp of the same file: `benches/inner.rs` measures both in turns of its own."""
    print("convert: raw tiles of level 0, against cp", flush=True)
    for name in ("uint8-deflate", "float32-deflate"):
        dtype, options, *_ = SOURCES[name]
        raster, _ = source(name, dtype, SIDE, options)
        command = ["cargo", "bench", "--locked", "--bench", "inner", "--", "raw tiles"]
        subprocess.run(command, check=True, env={**os.environ, "CLMSFS_BENCH_RAW": str(raster)}, stdout=subprocess.DEVNULL)
        measured = PROGRAM.parents[1] / "criterion/raw tiles"
        ours, cp = (json.loads((measured / who / "new/estimates.json").read_text())["median"]["point_estimate"] / 1e9 for who in ("ours", "cp"))
        Row("convert", f"raw tile copy of {name} {SIDE}²", ours, cp, "s", cp / ours, 0.7, "cp").tell()


def growth():
    """Seconds and memory by size."""
    print("growth: uint8 LZW", flush=True)
    for side in SIDES:
        raster, package = source("growth", "uint8", side, {"COMPRESS": "LZW"})
        used = [convert(package, FOLDER / "staging") for _ in range(ROUNDS if side <= 20_000 else 1)]
        median = sorted(used, key=lambda used: used.wall)[len(used) // 2]
        gigapixels = side * side / 1e9
        note = f"{median.wall:.2f} s in all, {median.cpu / gigapixels:.2f} s CPU per gigapixel"
        tell("growth", f"{side}²: seconds per gigapixel", median.wall / gigapixels, "s", note=note)
        tell("growth", f"{side}²: peak memory", max(one.memory for one in used), "MiB", at_most=512)
        raster.unlink(missing_ok=True)
    fresh(FOLDER / "staging")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts = {part.__name__: part for part in (against_peers, raw_copy, growth)}
    for name in sys.argv[1:] or parts:
        parts[name]()
