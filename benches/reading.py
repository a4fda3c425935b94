"""Reading what is here: the mount, with passthrough and without, against the same bytes on the local disk, bindfs and rclone."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import rasters
from measure import FOLDER, cost, compare, drop_caches, ended, fresh, missing, mounted, seconds, simulated, verb

NAME, SIDE = "reading", 12_000
SECONDS = 1


def prepare():
    """A cache with one product of about 700 MB in it; its data folder, and the entry's raster."""
    data = FOLDER / "reading-data"
    package = data / f"{NAME}.zip"
    if not package.exists():
        data.mkdir(parents=True, exist_ok=True)
        raster = rasters.write(FOLDER / f"{NAME}.tif", "float32", SIDE, COMPRESS="LZW")
        rasters.pack(raster, package)
        raster.unlink()
    return data


def fio(path, pattern, block, jobs, cold):
    """MB/s (sequential) or thousand reads a second (random) by fio."""
    if cold and not drop_caches():
        raise SystemExit("cold reads need root, to empty the kernel's caches")
    command = [
        "fio", "--name=read", f"--filename={path}", "--readonly", f"--rw={pattern}", f"--bs={block}", f"--numjobs={jobs}", "--ioengine=psync",
        "--group_reporting", "--output-format=json", "--invalidate=0", "--randrepeat=1", "--norandommap",
    ]
    # Cold: each byte once. Warm: for a while, so that many are read.
    command += ["--size=100%"] if cold and pattern == "read" else ["--time_based", f"--runtime={SECONDS}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    read = json.loads(told[told.index("{") :])["jobs"][0]["read"]
    return read["bw_bytes"] / 1e6 if pattern == "read" else read["iops"] / 1e3


def warm(path):
    """Brings a file into the page cache."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def files(stack, data):
    """Every way to the same bytes: name → path of the raster, and of the Zarr in ours and on the disk."""
    api, key = stack.enter_context(simulated(data))
    point, _ = stack.enter_context(mounted(api, key, fresh(FOLDER / "reading-cache")))
    verb(point, "fetch", f"data/{NAME}")
    product = point / "data" / NAME
    zarr = FOLDER / "reading.zarr"
    if not zarr.exists():
        subprocess.run(["cp", "-r", product / f"{NAME}.zarr", zarr], check=True)
    native = FOLDER / "reading-native"
    if not native.exists():
        subprocess.run(["cp", product / f"{NAME}.tif", native], check=True)
    # Its own cache: two mounts cannot share one, and the second fetches the same package.
    api, key = stack.enter_context(simulated(data))
    other, _ = stack.enter_context(mounted(api, key, fresh(FOLDER / "reading-cache-2"), "--passthrough=false"))
    verb(other, "fetch", f"data/{NAME}")
    return product, other / "data" / NAME, native, zarr


def peers(stack, of):
    """bindfs and rclone over copies of a file or folder, where they are installed; a folder with its name in it for each.

    Copies of their own: rclone empties the page cache of what it has read, and would slow others down that read the same.
    """
    found, folder = {}, fresh(FOLDER / "reading-peers")
    subprocess.run(["cp", "-r", of, folder], check=True)
    if not missing("bindfs"):
        point = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clmsfs-bench-bindfs-")))
        stack.enter_context(ended(["bindfs", "-f", "-r", folder, point]))
        found["bindfs"] = point
    if not missing("rclone"):
        point = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clmsfs-bench-rclone-")))
        stack.enter_context(ended(["rclone", "mount", "--config", "", "--read-only", "--attr-timeout", "1h", "--dir-cache-time", "1h", folder, point]))
        found["rclone"] = point
    for point in found.values():
        for _ in range(200):
            if point.is_mount():
                break
            time.sleep(0.05)  # another program's mount: there is no condition to wait on but this one
    return found


def whole_file(product, other, native, stack):
    """fio on the .tif."""
    mounts = {name: point / native.name for name, point in peers(stack, native).items()}
    ours = {"passthrough": product / f"{NAME}.tif", "no passthrough": other / f"{NAME}.tif"}
    works = [("sequential", "read", "1m", 1), ("random 4k", "randread", "4k", 1), ("random 4k, 4 jobs", "randread", "4k", 4), ("random 64k", "randread", "64k", 1), ("random 64k, 4 jobs", "randread", "64k", 4)]
    wanted = {
        ("passthrough", False, "read"): 0.95, ("passthrough", False, "randread"): 0.95,
        ("no passthrough", False, "read"): 0.9, ("no passthrough", True, "read"): 0.35, ("no passthrough", False, "randread"): 0.8,
    }
    for cold in (False, True):
        if not cold:
            for path in (native, *ours.values(), *mounts.values()):
                warm(path)
        for work, pattern, block, jobs in works:
            if cold and jobs > 1:
                continue
            unit = "MB/s" if pattern == "read" else "k/s"
            for way, path in ours.items():
                run = lambda path: lambda: fio(path, pattern, block, jobs, cold)
                others = {"native": run(native)} | ({name: run(mount) for name, mount in mounts.items()} if way == "no passthrough" else {})
                target = {"native": wanted.get((way, cold, pattern)) if block != "64k" else None}
                compare("read", f".tif, {way}, {'uncached' if cold else 'warm'} {work}", run(path), others, target, unit, "more")


def tools(product, native, zarr):
    """What users run, on the mount and on the same bytes on the disk."""
    tif = product / f"{NAME}.tif"
    script = Path(__file__).with_name("tool.py")
    works = {
        "gdalinfo": lambda tif, zarr: ["gdalinfo", tif],
        "gdal_translate of a window": lambda tif, zarr: ["gdal_translate", "-q", "-srcwin", "3000", "3000", "4000", "4000", tif, "/vsimem/window.tif"],
        "gdalwarp": lambda tif, zarr: ["gdalwarp", "-q", "-overwrite", "-t_srs", "EPSG:4326", "-te", "10", "47", "10.3", "47.3", tif, FOLDER / "warped.tif"],
        "rasterio, 300 random windows": lambda tif, zarr: [sys.executable, script, "windows", tif],
        "xarray mean over the Zarr": lambda tif, zarr: [sys.executable, script, "mean", zarr],
    }
    for work, command in works.items():
        target = 0.9 if "xarray" in work else None
        ours, theirs = command(tif, product / f"{NAME}.zarr"), command(native, zarr)
        compare("tools", work, lambda: cost(ours).wall, {"local disk": lambda: cost(theirs).wall}, target)


def chunks(product, zarr, stack):
    """open+read+close of every chunk of a Zarr, warm."""
    names = [path.relative_to(zarr) for path in zarr.glob("band/*/*") if path.is_file()]
    random.Random(1).shuffle(names)
    names = (names * (10_000 // len(names) + 1))[:10_000]

    def read(folder):
        paths = [str(folder / name) for name in names]

        def run():
            for path in paths:
                # What the kernel is asked, and nothing else: a file of Python's own asks more and costs more.
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                while os.read(file, 1 << 20):
                    pass
                os.close(file)

        return lambda: seconds(run)

    ours, native = read(product / f"{NAME}.zarr"), read(zarr)
    others = {"native": native}
    if rclone := peers(stack, zarr).get("rclone"):
        others["rclone"] = read(rclone / zarr.name)
    for run in (ours, *others.values()):
        run()
    compare("read", "10 000 Zarr chunks open+read+close, warm", ours, others, {"native": 0.5, "rclone": 2})


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        product, other, native, zarr = files(stack, prepare())
        print("read: the mount against the same bytes on the local disk", flush=True)
        chosen = sys.argv[1:] or ["whole_file", "tools", "chunks"]
        if "whole_file" in chosen and not missing("fio"):
            whole_file(product, other, native, stack)
        if "tools" in chosen:
            tools(product, native, zarr)
        if "chunks" in chosen:
            chunks(product, zarr, stack)
