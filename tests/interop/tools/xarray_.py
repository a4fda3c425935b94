"""xarray on the Zarr in both versions, and left to choose: pixels as stored, masked and scaled, coordinates, classes.

Run by two interpreters: the newest xarray with zarr-python 3, and the last one with zarr-python 2.18, which knows
version 2 only.
"""

import sys
import warnings

import numpy as np
import xarray as xr
import zarr

from common import assert_same, run

warnings.filterwarnings("ignore", message="Both zarr.json")

VERSIONS = {"3": (None, 2, 3), "2": (None,)}[zarr.__version__.split(".")[0]]


def store(raster, version, **options):
    if version is not None:
        options["zarr_format"] = version
    return xr.open_zarr(raster.zarr, **options)


def examine(report, raster):
    for version in VERSIONS:
        with store(raster, version, mask_and_scale=False) as opened:
            array = opened["band"]
            report.type(array.dtype, raster)
            report.pixels(array.values, raster)
            with report.check("transform"):
                x, y = raster.centres
                assert np.allclose(array.x, x, rtol=0, atol=1e-6 * abs(raster.transform[0])), "other x"
                assert np.allclose(array.y, y, rtol=0, atol=1e-6 * abs(raster.transform[4])), "other y"
            with report.check("crs"):
                wanted = f"EPSG:{raster.epsg}" if raster.epsg else None
                found = array.attrs["crs"]
                assert found == wanted if wanted else found.startswith("PROJCRS["), f"{wanted} became {found}"
            with report.check("time"):
                found = [str(time)[:10] for time in array["time"].values] if "time" in array.dims else []
                assert found == raster.times, f"{raster.times} became {found}"
            report.flags(array.attrs, raster)
        with store(raster, version) as opened:
            array = opened["band"]
            with report.check("nodata"):
                # Exactly the nodata pixels are gone. A double holds every value here.
                assert_same(np.isnan(array.values.astype(float)), raster.missing)
                found = array.encoding.get("_FillValue")
                assert raster.nodata is None or float(found) == raster.nodata or np.isnan([found, raster.nodata]).all(), f"{raster.nodata} became {found}"
            with report.check("scaling"):
                wanted = raster.pixels.astype(float) * raster.scale + raster.offset
                wanted[raster.missing] = np.nan
                assert_same(array.values, wanted.astype(array.dtype))
                assert array.attrs.get("units", "") == raster.unit, f"unit {raster.unit} became {array.attrs.get('units')}"


run(sys.argv[3], examine)
