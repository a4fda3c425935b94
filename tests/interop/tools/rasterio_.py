"""rasterio, on both views. (Not rasterio.py: that would be what it imports.)"""

import sys
import warnings

import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from common import run

# A finding is told by the check.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def examine(report, raster, path):
    with rasterio.open(path) as opened:
        if not opened.count:
            raise AssertionError(f"no band but {len(opened.subdatasets)} subdatasets")
        report.type(opened.dtypes[0], raster)
        report.pixels(opened.read(), raster)
        with report.check("crs"):
            wanted = CRS.from_epsg(raster.epsg) if raster.epsg else CRS.from_wkt(raster.wkt)
            assert opened.crs == wanted and opened.crs.to_epsg() == raster.epsg, f"{wanted} became {opened.crs}"
        # From a Zarr GDAL computes it from the centres; the identity means that there is none.
        transform = None if opened.transform.is_identity else opened.transform
        report.transform(transform, raster, exact=path == raster.tif)
        report.nodata(opened.nodata, raster)
        report.scaling(opened.scales[0], opened.offsets[0], opened.units[0] or "", raster)
        with report.check("mask"):
            mask = opened.read_masks()
            assert ((mask == 0) == raster.missing).all(), "other pixels are masked"
        if path == raster.tif:
            try:
                palette = opened.colormap(1)
            except ValueError:
                palette = {}
            report.colours(palette, raster)


view = sys.argv[3]
run(f"rasterio-{view}", lambda report, raster: examine(report, raster, getattr(raster, view)))
