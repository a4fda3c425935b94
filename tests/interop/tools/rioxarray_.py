"""rioxarray: a GeoTIFF as an array, and what it makes of the Zarr."""

import sys
import warnings

import numpy as np
import rioxarray
import xarray as xr
from pyproj import CRS

from common import assert_same, run

# zarr-python 3 says once for each store that it is there in both versions.
warnings.filterwarnings("ignore", message="Both zarr.json")


def georeference(report, raster, array):
    with report.check("crs"):
        found, wanted = array.rio.crs, CRS.from_epsg(raster.epsg) if raster.epsg else CRS.from_wkt(raster.wkt)
        assert found is not None, "no CRS"
        assert CRS.from_user_input(found).equals(wanted, ignore_axis_order=True), f"{wanted} became {found}"
    report.transform(array.rio.transform(), raster)


def tif(report, raster):
    with rioxarray.open_rasterio(raster.tif) as array:
        report.type(array.dtype, raster)
        report.pixels(array.values, raster)
        georeference(report, raster, array)
        report.nodata(array.rio.nodata, raster)
        # Several bands have a list of units, also when they are the same.
        units = np.atleast_1d(array.attrs.get("units", ""))[0]
        report.scaling(array.attrs.get("scale_factor", 1.0), array.attrs.get("add_offset", 0.0), units, raster)
    with report.check("mask"), rioxarray.open_rasterio(raster.tif, masked=True) as masked:
        assert_same(np.isnan(masked.values), raster.missing)


def zarr(report, raster):
    with xr.open_zarr(raster.zarr, mask_and_scale=False) as opened:
        array = opened["band"]
        report.type(array.dtype, raster)
        report.pixels(array.values, raster)
        georeference(report, raster, array)
        # x and y are the centres also when nobody asks the spatial convention.
        with report.check("centres"):
            x, y = raster.centres
            assert np.allclose(array.x, x, rtol=0, atol=1e-6 * abs(raster.transform[0])), "other x"
            assert np.allclose(array.y, y, rtol=0, atol=1e-6 * abs(raster.transform[4])), "other y"
    with xr.open_zarr(raster.zarr) as opened:
        report.nodata(opened["band"].rio.encoded_nodata, raster)


view = sys.argv[3]
run(f"rioxarray-{view}", {"tif": tif, "zarr": zarr}[view])
