"""Compares what a mount serves with the netCDF files it was made of: python compare_netcdf.py STEM VARIABLE FILE...

STEM.tif and STEM.zarr are the two views of the variable. Every stored value, the coordinates, times, scale, offset,
nodata, units and flags must be the same; exits with 0 and "same" then.
"""

import sys

import netCDF4
import numpy as np
import rasterio
import xarray as xr
import zarr

stem, name, files = sys.argv[1], sys.argv[2], sys.argv[3:]


def check(condition, message):
    if not condition:
        sys.exit(f"{stem} ({name}): {message}")


def same(left, right):
    return left.shape == right.shape and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


planes, times, attributes, fill = [], [], {}, None
for path in files:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        variable = file[name]
        attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
        fill = attributes.get("_FillValue")
        stored = variable[...]
        y_name, x_name = variable.dimensions[-2:]
        y, x = (np.asarray(file[axis][:], "f8") for axis in (y_name, x_name))
        if y[0] < y[-1]:
            stored, y = stored[..., ::-1, :], y[::-1]
        if stored.ndim == 2:
            stored = stored[np.newaxis]
        planes.extend(stored)
        if "time" in variable.dimensions:
            axis = file["time"]
            dates = netCDF4.num2date(axis[:], axis.units, only_use_cftime_datetimes=False, only_use_python_datetimes=True)
            times.extend(np.datetime64(date.replace(tzinfo=None), "ns") for date in np.atleast_1d(dates))
if times:
    order = np.argsort(times)
    planes, times = [planes[number] for number in order], np.array(times)[order]
pixels = np.stack(planes)
if pixels.dtype == np.int64:
    check(same(pixels, pixels.astype("i4").astype("i8")), "the source does not fit into 32 bits")
    pixels = pixels.astype("i4")
is_series = len(pixels) > 1

with rasterio.open(f"{stem}.tif") as tif:
    check(same(pixels, tif.read()), f"rasterio reads other pixels from the GeoTIFF: {pixels.dtype} {tif.dtypes}")
    dx, dy = x[1] - x[0], y[0] - y[1]
    wanted = (dx, 0, x[0] - dx / 2, 0, -dy, y[0] + dy / 2)
    check(np.allclose(tuple(tif.transform)[:6], wanted, rtol=1e-7), f"transform {tuple(tif.transform)[:6]}, not {wanted}")
    check((tif.nodata is None) == (fill is None), f"nodata {fill} became {tif.nodata}")
    check(fill is None or np.array_equal(tif.nodata, fill, equal_nan=True), f"nodata {fill} became {tif.nodata}")
    check(tif.scales[0] == attributes.get("scale_factor", 1), f"scale became {tif.scales}")
    check(tif.offsets[0] == attributes.get("add_offset", 0), f"offset became {tif.offsets}")
    check((tif.units[0] or "") == attributes.get("units", ""), f"units became {tif.units}")
    if is_series:
        labels = [np.datetime_as_string(time, "D" if time == time.astype("M8[D]") else "s") for time in times]
        found = [(text or "").removesuffix("Z") for text in tif.descriptions]
        check(found == labels, f"bands are called {tif.descriptions}, not {labels}")

# As one types it, and both versions of the format by name.
for version in (None, 3, 2):
    raw = xr.open_zarr(f"{stem}.zarr", mask_and_scale=False, zarr_format=version)
    band = raw["band"]
    values = band.values
    values = values if values.ndim == 3 else values[np.newaxis]
    check(values.dtype == pixels.dtype, f"Zarr v{version}: type {pixels.dtype} became {values.dtype}")
    check(same(pixels, values), f"xarray reads other pixels from Zarr v{version}")
    step = abs(x[1] - x[0])
    check(np.allclose(raw["x"].values, x, rtol=0, atol=0.01 * step), f"Zarr v{version}: other x")
    check(np.allclose(raw["y"].values, y, rtol=0, atol=0.01 * step), f"Zarr v{version}: other y")
    if is_series:
        check(band.dims == ("time", "y", "x"), f"Zarr v{version}: dimensions {band.dims}")
        check(raw["time"].dtype.kind == "M", f"Zarr v{version}: time is {raw['time'].dtype}")
        check(same(raw["time"].values.astype("M8[ns]"), times), f"Zarr v{version}: times {raw['time'].values}")
        day = band.sel(time=times[1])
        check(same(day.values, pixels[1]), f"Zarr v{version}: another band under {times[1]}")
    else:
        check(band.dims == ("y", "x"), f"Zarr v{version}: dimensions {band.dims}")
    # Unpacked and masked as xarray does with the source.
    decoded = xr.open_zarr(f"{stem}.zarr", zarr_format=version)["band"].values
    scaled = pixels.astype("f8") * attributes.get("scale_factor", 1) + attributes.get("add_offset", 0)
    scaled = scaled if decoded.ndim == 3 else scaled[0]
    stored = pixels if decoded.ndim == 3 else pixels[0]
    if fill is not None:
        scaled = np.where(np.isnan(stored) if np.isnan(fill) else stored == fill, np.nan, scaled)
    check(np.allclose(decoded, scaled, equal_nan=True, rtol=1e-6), f"Zarr v{version}: other decoded values")

stored = dict(zarr.open_group(f"{stem}.zarr", mode="r")["band"].attrs)
for key in ("long_name", "units", "flag_meanings"):
    if key in attributes:
        check(stored.get(key) == attributes[key], f"{key} became {stored.get(key)}")
for key in ("flag_values", "flag_masks", "valid_range"):
    if key in attributes:
        check(list(stored.get(key, [])) == attributes[key].tolist(), f"{key} became {stored.get(key)}")

print("same")
