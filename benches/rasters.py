"""Sources for the benches: rasters of any size that look like those of CLMS, written block by block.

A pattern of 2048 pixels is repeated with a shift that differs from block to block, so that no two blocks are the same
and memory stays small whatever the size. `classes` are patches of land cover in UInt8 with a palette, `heights` a
terrain in Float32 with the centimetres that measured heights have.
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

SIDE = 2048
COLOURS = {code: ((37 * code) % 256, (91 * code) % 256, (53 * code) % 256, 255) for code in range(1, 12)} | {255: (0, 0, 0, 0)}


def smooth(random, octaves):
    """Noise with a size of features for every octave, periodic in both directions; about -1 … 1."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in octaves:
        cells = SIDE >> octave
        corners = random.standard_normal((cells, cells)).astype(np.float32)
        grown = np.kron(corners, np.ones((1 << octave, 1 << octave), np.float32))
        # Two box filters make patches of the squares.
        for axis in (0, 1):
            sums = np.cumsum(np.concatenate([grown, grown.take(range(1 << octave), axis)], axis), axis, dtype=np.float64)
            after, before = sums.take(range(1 << octave, sums.shape[axis]), axis), sums.take(range(sums.shape[axis] - (1 << octave)), axis)
            grown = ((after - before) / (1 << octave)).astype(np.float32)
        total += grown * (1 << octave) ** 0.7
    return total / np.abs(total).max()


def classes(random):
    """Patches of eleven classes with ragged borders, and nodata where the sea would be."""
    field = smooth(random, (9, 7, 5, 3, 2))
    codes = np.digitize(field, np.quantile(field, np.linspace(0.09, 0.91, 10))).astype(np.uint8) + 1
    codes[smooth(random, (9, 6)) > 0.45] = 255
    return codes


def heights(random):
    """A terrain of 0 … 3000 m whose last digits are noise."""
    field = (smooth(random, (9, 8, 6, 4, 2)) + 1) * 1500
    return np.round(field + random.standard_normal(field.shape) * 0.3, 2).astype(np.float32)


PATTERNS = {"uint8": (classes, 255), "float32": (heights, -3.4028234663852886e38)}


def write(path, dtype, side, **options):
    """Writes a square raster of `side` pixels; `options` are those of GDAL's GTiff driver."""
    make, nodata = PATTERNS[dtype]
    pattern = make(np.random.default_rng(side))
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": dtype, "crs": "EPSG:3035", "nodata": nodata,
        "transform": from_origin(900_000, 5_500_000, 10, 10), "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS",
    }
    with rasterio.open(path, "w", **profile, **options) as made:
        if dtype == "uint8":
            made.write_colormap(1, COLOURS)
        for row in range(0, side, SIDE):
            for column in range(0, side, SIDE):
                shift = (row // SIDE * 389 % SIDE, column // SIDE * 631 % SIDE)
                height, width = min(SIDE, side - row), min(SIDE, side - column)
                block = np.roll(pattern, shift, (0, 1))[:height, :width]
                made.write(block, 1, window=Window(column, row, width, height))
    return Path(path)


def pack(raster, package):
    """Packs a raster as the service delivers it: Results/<name>.zip in a zip."""
    name = raster.stem
    inner = package.with_suffix(".inner")
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.write(raster, f"{name}/DATA/{name}.tif")
    with zipfile.ZipFile(package, "w") as made:
        made.write(inner, f"Results/{name}.zip")
    inner.unlink()
    return package


if __name__ == "__main__":
    path, package, dtype, side, options = sys.argv[1:]
    pack(write(path, dtype, int(side), **json.loads(options)), Path(package))
