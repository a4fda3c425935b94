"""What every tool's script shares: what is true, and how a finding is told.

A script is called as `<tool>.py MANIFEST MOUNTED`: the manifest of kinds.py and the mounted dataset with one product
for every kind. For every check of every raster it prints one line of JSON, {kind, tool, check, result, reason}.
It needs nothing but numpy, so that every interpreter can use it.
"""

import contextlib
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


class Raster:
    """One raster of a kind: what is true (attributes of the manifest) and where the mount serves it."""

    def __init__(self, stem, truth):
        self.tif, self.zarr = f"{stem}.tif", f"{stem}.zarr"
        self.source = truth["source"]
        self.shape = tuple(truth["shape"])
        self.dtype = np.dtype(truth["dtype"])
        self.pixels = np.fromfile(truth["pixels"], self.dtype.newbyteorder("<")).reshape(self.shape).astype(self.dtype)
        self.epsg, self.wkt = truth["epsg"], truth["wkt"]
        self.transform = truth["transform"]  # rasterio's order: dx, rx, x0, ry, dy, y0
        self.nodata = None if truth["nodata"] is None else float(truth["nodata"])
        self.times = truth["times"]  # a date for each band, or none at all
        self.scale, self.offset, self.unit = truth["scale"], truth["offset"], truth["unit"]
        self.palette = {int(value): tuple(color) for value, color in truth["palette"].items()}
        self.classes = {int(value): name for value, name in truth["classes"].items()}

    @property
    def geotransform(self):
        """The transform in GDAL's order."""
        dx, rx, x0, ry, dy, y0 = self.transform
        return [x0, dx, rx, y0, ry, dy]

    @property
    def centres(self):
        """Centres of the columns and of the rows."""
        dx, _, x0, _, dy, y0 = self.transform
        _, height, width = self.shape
        return x0 + dx * (np.arange(width) + 0.5), y0 + dy * (np.arange(height) + 0.5)

    @property
    def missing(self):
        """Which pixels are nodata."""
        if self.nodata is None:
            return np.zeros(self.shape, bool)
        return np.isnan(self.pixels) if np.isnan(self.nodata) else self.pixels == self.dtype.type(self.nodata)


class Vector:
    """Vector data of a kind: what is true of its layers, and the file or folder that the mount serves."""

    def __init__(self, folder, truth):
        self.path = str(Path(folder, truth["file"]))
        self.layers = {layer["name"]: layer for layer in truth["layers"]}


class Report:
    """Tells what one tool finds in one kind."""

    def __init__(self, kind, tool):
        self.kind, self.tool = kind, tool

    @contextlib.contextmanager
    def check(self, name):
        """A check of that name: it passes unless its body raises."""
        reason = None
        try:
            yield
        except Exception as error:  # whatever a library raises is a finding
            text = str(error).strip().replace("\n", " ")
            reason = (text or repr(error)) if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"
        self.tell(name, reason)

    def tell(self, name, reason=None):
        """A finding: `reason` is why it failed."""
        line = {"kind": self.kind, "tool": self.tool, "check": name, "result": "fail" if reason else "pass",
                "reason": (reason or "")[:500]}
        # In one piece: several threads may tell.
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    # What several tools check in the same way.

    def type(self, dtype, raster):
        with self.check("type"):
            assert np.dtype(dtype) == raster.dtype, f"{raster.dtype} became {np.dtype(dtype)}"

    def pixels(self, values, raster):
        """Every pixel; the type is a check of its own."""
        with self.check("pixels"):
            assert_same(values, raster.pixels)

    def transform(self, transform, raster, exact=True):
        """In rasterio's order. Not exact where a tool computes it from the centres, or prints it."""
        with self.check("transform"):
            assert transform is not None, "no transform"
            found = list(transform)[:6]
            close = [a == b if exact else math.isclose(a, b, rel_tol=1e-12) for a, b in zip(found, raster.transform)]
            assert all(close), f"{raster.transform} became {found}"

    def nodata(self, nodata, raster):
        """Equal as a pixel: some tools print a Float32 with 8 digits."""
        with self.check("nodata"):
            as_pixel = nodata if nodata is None or raster.dtype.kind != "f" else raster.dtype.type(nodata)
            assert_number(as_pixel, raster.nodata)

    def scaling(self, scale, offset, unit, raster):
        with self.check("scaling"):
            found, wanted = (scale, offset, unit), (raster.scale, raster.offset, raster.unit)
            assert found == wanted, f"{wanted} became {found}"

    def colours(self, palette, raster):
        """A palette may be longer than the source's: TIFF has 256 entries."""
        with self.check("colours"):
            wrong = {value: (color, palette.get(value)) for value, color in raster.palette.items()
                     if tuple(palette.get(value, ()))[:3] != color[:3]}
            assert palette or not raster.palette, "no colours"
            assert not wrong, f"other colours: {wrong}"
            assert raster.palette or not palette, "colours that the source does not have"

    def classes(self, classes, raster):
        """Names by value."""
        with self.check("classes"):
            assert_classes(classes, raster)

    def layers(self, names, vector):
        with self.check("layers"):
            assert sorted(names) == sorted(vector.layers), f"{sorted(vector.layers)} became {sorted(names)}"

    def features(self, fields, features, layer):
        """Every value of every field (columns by name) and every vertex (a flat list for each feature)."""
        with self.check("fields"):
            for name, values in layer["fields"].items():
                found = fields.get(name)
                assert found is not None and len(found) == len(values), f"{name}: {len(values)} values became {found and len(found)}"
                wrong = [(wanted, value) for wanted, value in zip(values, found) if value != wanted]
                assert not wrong, f"{name}: {wrong[0][0]!r} became {wrong[0][1]!r}"
        with self.check("geometry"):
            assert len(features) == len(layer["features"]), f"{len(layer['features'])} features became {len(features)}"
            for number, (wanted, found) in enumerate(zip(layer["features"], features)):
                same = len(wanted) == len(found) and np.array_equal(wanted, found)
                assert same, f"feature {number}: {wanted[:4]} … became {list(found[:4])} …"

    def flags(self, attributes, raster):
        """Class names as CF writes them, in Zarr."""
        with self.check("classes"):
            values, names = attributes.get("flag_values", []), attributes.get("class_names", [])
            words = attributes.get("flag_meanings", "").split()
            assert len(values) == len(names) == len(words), f"{len(values)} values, {len(names)} names, {len(words)} words"
            assert_classes(dict(zip(map(int, values), names)), raster)


def assert_classes(classes, raster):
    """Where the source has nothing but colours, a table of classes may give these without names."""
    named = {value: name for value, name in classes.items() if raster.classes or name}
    wrong = {value for value in named.keys() | raster.classes.keys() if named.get(value) != raster.classes.get(value)}
    assert not wrong, "other classes: " + ", ".join(f"{value} '{raster.classes.get(value)}' became '{named.get(value)}'" for value in sorted(wrong))


def assert_same(values, wanted):
    """Equal pixel by pixel, NaN to NaN, also where the type is another."""
    values = np.asarray(values)
    values = values if values.ndim == 3 else values[np.newaxis]
    assert values.shape == wanted.shape, f"shape {wanted.shape} became {values.shape}"
    same = values == wanted
    if wanted.dtype.kind == "f":
        same |= np.isnan(values) & np.isnan(wanted)
    if not same.all():
        place = tuple(int(index) for index in np.argwhere(~same)[0])
        raise AssertionError(f"{np.count_nonzero(~same)} other pixels, first at {place}: {wanted[place]} became {values[place]}")


def assert_number(found, wanted):
    if found is not None and wanted is not None:
        found = float(found)
        if found == wanted or (np.isnan(found) and np.isnan(wanted)):
            return
    assert found is None and wanted is None, f"{wanted} became {found}"


def run(tool, examine, threads=1):
    """Calls `examine(report, raster)` for every raster of every kind."""
    each(tool, "rasters", lambda folder, truth: Raster(Path(folder, truth["name"]), truth), examine, threads)


def run_vectors(tool, examine):
    """Calls `examine(report, vector)` for all vector data of every kind."""
    each(tool, "vectors", Vector, examine)


def each(tool, of, make, examine, threads=1):
    manifest, mounted = sys.argv[1:3]

    def one(kind, truth):
        report = Report(kind["kind"], tool)
        try:
            examine(report, make(Path(mounted, kind["kind"]), truth))
        except Exception as error:  # the tool does not open it, or its script is wrong
            report.tell("open", f"{type(error).__name__}: {error}".replace("\n", " "))

    # On the main thread unless asked otherwise: QGIS wants it.
    work = [(kind, truth) for kind in json.loads(Path(manifest).read_text()) for truth in kind[of]]
    if threads == 1:
        for kind, truth in work:
            one(kind, truth)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(one, kind, truth) for kind, truth in work]:
            done.result()
