"""zarr-python on its own, in the versions of the format that it knows."""

import sys
import warnings

import numpy as np
import zarr

from common import assert_number, run

warnings.filterwarnings("ignore", message="Both zarr.json")

VERSIONS = {"3": (None, 2, 3), "2": (None,)}[zarr.__version__.split(".")[0]]


def examine(report, raster):
    for version in VERSIONS:
        options = {} if version is None else {"zarr_format": version}
        group = zarr.open_group(raster.zarr, mode="r", **options)
        array = group["band"]
        report.type(array.dtype, raster)
        report.pixels(array[...], raster)
        with report.check("nodata"):
            # Missing chunks are read as the fill value. Version 3 has always one, 0 where there is no nodata.
            none = None if array.fill_value is None else 0.0
            assert_number(array.fill_value, none if raster.nodata is None else raster.nodata)
        attributes = dict(array.attrs)
        report.transform(attributes["spatial:transform"], raster)
        with report.check("crs"):
            found = attributes.get("proj:code") or attributes.get("proj:wkt2")
            assert found == f"EPSG:{raster.epsg}" if raster.epsg else found.startswith("PROJCRS["), f"{raster.epsg} became {found}"
        report.flags(attributes, raster)
        with report.check("overviews"):
            if version == 2 or zarr.__version__.startswith("2"):
                continue
            for level in group.attrs.get("multiscales", {}).get("layout", [])[1:]:
                overview = group[level["asset"]]["band"]
                factor = int(level["asset"].removeprefix("ovr_").removesuffix("x"))
                wanted = tuple(-(-side // factor) for side in raster.shape[-2:])
                assert overview.shape[-2:] == wanted, f"{level['asset']}: shape {overview.shape}"
                values = overview[...]
                valid = raster.pixels[~raster.missing]
                shown = values[values != overview.fill_value] if raster.nodata is not None else values
                shown = shown[~np.isnan(shown)] if shown.dtype.kind == "f" else shown
                assert shown.size == 0 or valid.min() <= shown.min() <= shown.max() <= valid.max(), f"{level['asset']}: values that the raster does not have"


run(sys.argv[3], examine)
