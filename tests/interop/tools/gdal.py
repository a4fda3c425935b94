"""The command line programs of the system's GDAL: gdalinfo, gdal_translate and gdalwarp, on both views."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS

from common import Report, assert_same, run

TYPES = {"Byte": "uint8", "Int8": "int8", "UInt16": "uint16", "Int16": "int16", "UInt32": "uint32", "Int32": "int32",
         "Float32": "float32", "Float64": "float64"}


def call(*arguments):
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr.strip() or done.stdout.strip()}"
    return done.stdout


def examine(report, raster, path, folder):
    info = json.loads(call("gdalinfo", "-json", path))
    planes = [path]
    if report.tool == "gdal-zarr":
        with report.check("one raster"):
            assert info["bands"], "every band is a subdataset"
        if not info["bands"]:
            planes = [f'ZARR:"{path}":/band:{plane}' for plane in range(raster.shape[0])]
            info = json.loads(call("gdalinfo", "-json", planes[0]))
    band = info["bands"][0]
    signed = band.get("metadata", {}).get("IMAGE_STRUCTURE", {}).get("PIXELTYPE") == "SIGNEDBYTE"
    report.type("int8" if signed else TYPES[band["type"]], raster)
    with report.check("crs"):
        found = CRS.from_wkt(info["coordinateSystem"]["wkt"])
        wanted = CRS.from_epsg(raster.epsg) if raster.epsg else CRS.from_wkt(raster.wkt)
        assert found == wanted and found.to_epsg() == raster.epsg, f"{wanted} became {found}"
    # gdalinfo prints 13 digits.
    transform = info.get("geoTransform")
    report.transform(transform and [transform[index] for index in (1, 2, 0, 4, 5, 3)], raster, exact=False)
    # JSON has no NaN; gdalinfo writes it as a text.
    nodata = band.get("noDataValue")
    report.nodata(None if nodata is None else float(nodata), raster)
    report.scaling(band.get("scale", 1.0), band.get("offset", 0.0), band.get("unit", ""), raster)
    if report.tool == "gdal-tif":
        # Value, name, red, green, blue, alpha.
        table = info.get("rat") or band.get("rat") or {}
        rows = [row["f"] for row in table.get("row", [])]
        entries = band.get("colorTable", {}).get("entries")
        palette = dict(enumerate(entries)) if entries else {row[0]: row[2:6] for row in rows if len(row) == 6}
        report.colours(palette, raster)
        report.classes({row[0]: row[1] for row in rows}, raster)

    translated = []
    for plane in planes:
        call("gdal_translate", "-q", plane, folder / "translated.tif")
        with rasterio.open(folder / "translated.tif") as opened:
            translated.append(opened.read())
    report.pixels(np.concatenate(translated), raster)

    # gdalwarp makes of the view what it makes of the source, also when the CRS is named.
    if len(planes) > 1:
        call("gdalbuildvrt", "-q", "-separate", folder / "planes.vrt", *planes)
        path = folder / "planes.vrt"
    named = ["-s_srs", f"EPSG:{raster.epsg}" if raster.epsg else raster.wkt]
    for check, options in {"warp": [], "warp -s_srs": named}.items():
        if report.tool == "gdal-zarr" or not options:
            with report.check(check):
                call("gdalwarp", "-q", "-overwrite", "-t_srs", target(raster), *options, path, folder / "warped.tif")
                with rasterio.open(folder / "source.tif") as wanted, rasterio.open(folder / "warped.tif") as found:
                    same = found.transform.almost_equals(wanted.transform, 1e-6)
                    assert same, f"transform {list(wanted.transform)} became {list(found.transform)}"
                    assert_same(found.read(), wanted.read())


def target(raster):
    return "EPSG:3035" if raster.epsg == 4326 else "EPSG:32632"


def both_views(report, raster):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        call("gdalwarp", "-q", "-t_srs", target(raster), raster.source, folder / "source.tif")
        for view in ("tif", "zarr"):
            view_report = Report(report.kind, f"gdal-{view}")
            try:
                examine(view_report, raster, getattr(raster, view), folder)
            except Exception as error:
                view_report.tell("open", f"{type(error).__name__}: {error}".replace("\n", " "))


# All work is done by other processes.
run("gdal", both_views, threads=2)
