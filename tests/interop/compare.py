"""Compares what a mount serves with the source: python compare.py SOURCE TIF ZARR

SOURCE is anything GDAL opens (a file, /vsizip/...), TIF and ZARR are the two views of the product.
Every pixel, the CRS, the transform, nodata and the colours must be the same; exits with 0 and "same" then.
"""

import sys

import numpy as np
import rasterio
import xarray as xr
import zarr


def check(condition, message):
    if not condition:
        sys.exit(f"{sys.argv[2]}: {message}")


def same(left, right):
    """Equal pixel by pixel; NaN equals NaN."""
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.array_equal(left, right, equal_nan=True))
    return bool(np.array_equal(left, right))


def nodata_equal(left, right):
    if left is None or right is None:
        return left is right
    return left == right or (np.isnan(left) and np.isnan(right))


source_path, tif_path, zarr_path = sys.argv[1:4]

with rasterio.open(source_path) as source, rasterio.open(tif_path) as tif:
    pixels = source.read()
    check(source.dtypes == tif.dtypes, f"types {source.dtypes} became {tif.dtypes}")
    check(same(pixels, tif.read()), "rasterio reads other pixels from the GeoTIFF")
    check(source.crs == tif.crs, f"CRS {source.crs} became {tif.crs}")
    check(source.transform == tif.transform, f"transform {source.transform} became {tif.transform}")
    check(nodata_equal(source.nodata, tif.nodata), f"nodata {source.nodata} became {tif.nodata}")
    try:
        colours = source.colormap(1)
    except ValueError:
        colours = None
    if colours is not None:
        served = tif.colormap(1)
        check(all(served.get(value) == colour for value, colour in colours.items()), "other colours")
    transform, nodata, crs = source.transform, source.nodata, source.crs

# What a person types first: the defaults of xarray.
opened = xr.open_zarr(zarr_path)
check("band" in opened, f"the Zarr has no variable 'band' but {list(opened)}")
check(opened["band"].dims[-2:] == ("y", "x"), f"dimensions {opened['band'].dims}")

# Pixels as stored, without masking and scaling, in both versions of the format.
for version in (3, 2):
    raw = xr.open_zarr(zarr_path, mask_and_scale=False, zarr_format=version)["band"]
    values = raw.values
    values = values if values.ndim == 3 else values[np.newaxis]
    check(values.dtype == pixels.dtype, f"Zarr v{version}: type {pixels.dtype} became {values.dtype}")
    check(same(pixels, values), f"xarray reads other pixels from Zarr v{version}")

    # x and y are the centres of the pixels.
    x, y = raw["x"].values, raw["y"].values
    height, width = pixels.shape[1:]
    check(np.allclose(x, transform.c + transform.a * (np.arange(width) + 0.5), rtol=0, atol=1e-6 * abs(transform.a)),
          f"Zarr v{version}: other x")
    check(np.allclose(y, transform.f + transform.e * (np.arange(height) + 0.5), rtol=0, atol=1e-6 * abs(transform.e)),
          f"Zarr v{version}: other y")

group = zarr.open_group(zarr_path, mode="r")
attributes = dict(group["band"].attrs)
fill = group["band"].fill_value
check(nodata_equal(0 if nodata is None else nodata, fill), f"nodata {nodata} became the fill value {fill}")
if crs is not None and crs.to_epsg() is not None:
    code = attributes.get("proj:code") or attributes.get("crs")
    check(code == f"EPSG:{crs.to_epsg()}", f"CRS {crs} became {code} in the Zarr")

# Masked as xarray does by default: exactly the nodata pixels are gone.
if nodata is not None:
    masked = np.isnan(opened["band"].values)
    masked = masked if masked.ndim == 3 else masked[np.newaxis]
    wanted = np.isnan(pixels) if np.isnan(nodata) else pixels == nodata
    check(same(masked, wanted), "xarray masks other pixels than the nodata ones")

print("same")
