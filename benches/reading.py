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

from measure import FOLDER, cost, compare, drop_caches, ended, fresh, missing, mounted, seconds, simulated, sized, source_raster, verb

NAME, SIDE = "reading", sized(12_000, 5_000)
# Chunks of classes are some ten kilobytes, those of NAME one megabyte.
SMALL = "classes"
RUN = sized("1s", "100ms")


def prepare():
    """The packages of two products, of about 700 MB and of small chunks; the folder they are in."""
    data = FOLDER / "reading-data"
    for name, dtype in ((NAME, "float32"), (SMALL, "uint8")):
        package = data / f"{name}.zip"
        if not package.exists():
            data.mkdir(parents=True, exist_ok=True)
            raster = FOLDER / f"{name}.tif"
            source_raster(raster, package, dtype, SIDE, {"COMPRESS": "LZW"})
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
    command += ["--size=100%"] if cold and pattern == "read" else ["--time_based", f"--runtime={RUN}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    read = json.loads(told[told.index("{") :])["jobs"][0]["read"]
    return read["bw_bytes"] / 1e6 if pattern == "read" else read["iops"] / 1e3


def warm(path):
    """Brings a file into the page cache."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def files(stack, data):
    """Every way to the same bytes: the product in a mount with passthrough and without, its raster and its Zarr on the disk, and
    the product with small chunks in the mount and on the disk."""
    api, key = stack.enter_context(simulated(data))
    point, _ = stack.enter_context(mounted(api, key, fresh(FOLDER / "reading-cache")))
    copies = []
    for name in (NAME, SMALL):
        verb(point, "fetch", f"data/{name}")
        copies.append(FOLDER / f"{name}.zarr")
        if not copies[-1].exists():
            subprocess.run(["cp", "-r", point / "data" / name / f"{name}.zarr", copies[-1]], check=True)
    product, (zarr, small_zarr) = point / "data" / NAME, copies
    native = FOLDER / "reading-native"
    if not native.exists():
        subprocess.run(["cp", product / f"{NAME}.tif", native], check=True)
    # Its own cache: two mounts cannot share one, and the second fetches the same package.
    api, key = stack.enter_context(simulated(data))
    other, _ = stack.enter_context(mounted(api, key, fresh(FOLDER / "reading-cache-2"), "--passthrough=false"))
    verb(other, "fetch", f"data/{NAME}")
    return product, other / "data" / NAME, native, zarr, point / "data" / SMALL / f"{SMALL}.zarr", small_zarr


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
                # The other file systems are slow: one job and one size say what there is to say about them.
                beside = mounts if way == "no passthrough" and jobs == 1 and block != "64k" else {}
                others = {"native": run(native)} | {name: run(mount) for name, mount in beside.items()}
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


def chunks(served, zarr, what, stack=None):
    """open+read+close of every chunk of a Zarr, warm; beside rclone, too, where a stack of things to end is given."""
    names = [path.relative_to(zarr) for path in zarr.glob("band/*/*") if path.is_file()]
    random.Random(1).shuffle(names)
    names = (names * (10_000 // len(names) + 1))[:10_000]

    def read(folder, count=10_000):
        paths = [str(folder / name) for name in names[:count]]

        def run():
            for path in paths:
                # What the kernel is asked, and nothing else: a file of Python's own asks more and costs more.
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                while os.read(file, 1 << 20):
                    pass
                os.close(file)

        return lambda: seconds(run)

    ours, native = read(served), read(zarr)
    for run in (ours, native):
        run()
    compare("read", f"10 000 Zarr chunks of {what} open+read+close, warm", ours, {"native": native}, 0.5)
    if stack and (rclone := peers(stack, zarr).get("rclone")):
        # It takes 46 s for all of them.
        few = 1000
        theirs = read(rclone / zarr.name, few)
        theirs()
        compare("read", f"1000 Zarr chunks of {what} open+read+close, warm", read(served, few), {"rclone": theirs}, 2)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        product, other, native, zarr, small, small_zarr = files(stack, prepare())
        print("read: the mount against the same bytes on the local disk", flush=True)
        chosen = sys.argv[1:] or ["whole_file", "tools", "chunks"]
        if "whole_file" in chosen and not missing("fio"):
            whole_file(product, other, native, stack)
        if "tools" in chosen:
            tools(product, native, zarr)
        if "chunks" in chosen:
            chunks(small, small_zarr, "10 kB")
            chunks(product / f"{NAME}.zarr", zarr, "1 MB", stack)
