"""The first read of a product by the speed of the file host: from the open of a cold file to its first byte, stage by stage.

The order is finished at once, so that what is measured is ours: seeing that it is finished, downloading, unpacking, converting.
"""

import re
import shutil
import statistics
import zipfile

from measure import FOLDER, ROUNDS, compare, drop_caches, fresh, mounted, seconds, simulated, sized, source_raster, tell

NAME, SIDE = "first", sized(10_000, 3_000)
RATES = {"50 MB/s": 50_000_000, "100 MB/s": 100_000_000, "no limit": None}


def prepare():
    """The folder with the package: Float32 with deflate in tiles, about 300 MB."""
    data = FOLDER / "first-data"
    package = data / f"{NAME}.zip"
    if not package.exists():
        data.mkdir(parents=True, exist_ok=True)
        raster = FOLDER / f"{NAME}.tif"
        delivered = FOLDER / f"{NAME}-delivered.zip"
        source_raster(raster, delivered, "float32", SIDE, {"COMPRESS": "DEFLATE", "TILED": True, "BLOCKXSIZE": 512, "BLOCKYSIZE": 512, "ZLEVEL": 1})
        # The simulated service packs what it has as the service does: it gets the zip in the zip.
        with zipfile.ZipFile(delivered) as outer, outer.open(f"Results/{NAME}.zip") as inner, open(package, "wb") as made:
            shutil.copyfileobj(inner, made)
        raster.unlink()
        delivered.unlink()
    return data


def scenario(rate):
    """Orders are finished at once; the file host has a speed."""
    return "queued = '0s'\nrunning = '0s'\n" + (f"download_rate = {rate}\n" if rate else "")


def stages(log):
    """Seconds that each stage of the fetch took, by the lines that the mount logs: each tells of the stage before it."""
    lines = re.findall(r"fetch (\w+) .*?took_ms=(\d+)", re.sub(r"\x1b\[\d*m", "", log))
    return {before: int(took) / 1000 for (before, _), (_, took) in zip(lines, lines[1:])}


def first_read(data, rate):
    """Seconds from the open of a cold file to its first byte, and of each stage."""
    with simulated(data, scenario(rate)) as (api, key), open(FOLDER / "first.log", "w+") as log:
        with mounted(api, key, fresh(FOLDER / "first-cache"), log="info", stderr=log) as (point, _):
            drop_caches()

            def first_byte():
                with open(point / "data" / NAME / f"{NAME}.tif", "rb") as file:
                    if len(file.read(1)) != 1:
                        raise SystemExit("the file is empty")

            took = seconds(first_byte)
        log.seek(0)
        return took, stages(log.read())


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = prepare()
    size = (data / f"{NAME}.zip").stat().st_size
    print(f"first read: a package of {size / 1e6:.0f} MB", flush=True)
    for label, rate in RATES.items():
        found = []

        def ours():
            found.append(first_read(data, rate))
            return found[-1][0]

        link = {"the link alone": lambda: size / rate} if rate else {}
        if rate:
            compare("first", f"open to first byte, file host with {label}", ours, link)
        else:
            tell("first", f"open to first byte, file host with {label}", statistics.median(ours() for _ in range(ROUNDS)), "s")
        median = sorted(found, key=lambda one: one[0])[len(found) // 2]
        print("    " + ", ".join(f"{stage} {took:.2f}" for stage, took in median[1].items()), flush=True)
