"""Writes netCDF files as producers do: python make_netcdf.py KIND FOLDER

The files land in FOLDER; the kinds are the functions below. Values follow from the place, so that every pixel differs
from its neighbours.
"""

import pathlib
import sys

import netCDF4
import numpy as np

ROWS, COLUMNS = 700, 600


def coordinates(file, ascending, rows=ROWS, columns=COLUMNS):
    file.createDimension("lat", rows)
    file.createDimension("lon", columns)
    lat = file.createVariable("lat", "f8", ("lat",))
    lat.setncatts({"standard_name": "latitude", "units": "degrees_north", "axis": "Y"})
    centres = 40 + (np.arange(rows) + 0.5) / 112
    lat[:] = centres if ascending else centres[::-1]
    lon = file.createVariable("lon", "f8", ("lon",))
    lon.setncatts({"standard_name": "longitude", "units": "degrees_east", "axis": "X"})
    lon[:] = 10 + (np.arange(columns) + 0.5) / 112


def grid_mapping(file):
    crs = file.createVariable("crs", "i4")
    crs.setncatts(
        {
            "grid_mapping_name": "latitude_longitude",
            "semi_major_axis": 6378137.0,
            "inverse_flattening": 298.257223563,
            "long_name": "CRS definition",
        }
    )


def pattern(dtype, seed, shape=(ROWS, COLUMNS)):
    y, x = np.indices(shape[-2:])
    values = (y * 31 + x * 17 + seed * 101 + (y * x) // 7) % 241
    return np.broadcast_to(values, shape).astype(dtype)


def variable(file, name, dtype, dimensions, values, fill, **attributes):
    array = file.createVariable(name, dtype, dimensions, fill_value=fill, zlib=True, complevel=1)
    array.set_auto_maskandscale(False)
    array.setncatts({"grid_mapping": "crs", **attributes})
    array[...] = values
    return array


def soil_moisture(file, dimensions, seed):
    values = pattern("u1", seed, (1,) * (len(dimensions) - 2) + (ROWS, COLUMNS)).copy()
    values[..., :40, :50] = 255
    values[..., 50:60, :] = 251
    variable(
        file,
        "ssm",
        "u1",
        dimensions,
        values,
        255,
        long_name="Surface Soil Moisture",
        units="%",
        scale_factor=np.float32(0.5),
        add_offset=np.float32(0.0),
        valid_range=np.array([0, 200], "u1"),
        flag_values=np.array([241, 242, 251, 252, 253], "u1"),
        flag_meanings="exceeding_min exceeding_max water_mask sensitivity_mask slope_mask",
    )
    variable(file, "ssm_noise", "u1", dimensions, pattern("u1", seed + 5), 255, units="%", scale_factor=np.float32(0.5))


def single(folder):
    """One file, latitudes from south to north, variables of all kinds."""
    with netCDF4.Dataset(folder / "values.nc", "w") as file:
        coordinates(file, ascending=True)
        grid_mapping(file)
        soil_moisture(file, ("lat", "lon"), 1)
        plane = ("lat", "lon")
        variable(file, "int8", "i1", plane, (pattern("i2", 2) - 120).astype("i1"), -128)
        variable(file, "int16", "i2", plane, pattern("i2", 3) - 100, -9999, scale_factor=0.01, add_offset=-5.0)
        variable(file, "uint16", "u2", plane, pattern("u2", 4) * 250, 65535)
        variable(file, "int32", "i4", plane, pattern("i4", 5) * 100_000, -1)
        variable(file, "uint32", "u4", plane, pattern("u4", 6) * 17_000_000, None)
        variable(file, "int64", "i8", plane, pattern("i8", 7) - 50, -1)
        variable(file, "float32", "f4", plane, pattern("f4", 8) / 7, np.float32(np.nan), units="m2 m-2")
        variable(file, "quality", "u1", plane, pattern("u1", 10), None, flag_masks=np.array([1, 2, 128], "u1"),
                 flag_meanings="cloud snow sea")
        variable(file, "float64", "f8", plane, pattern("f8", 9) / 3, -1.0)


def dates(folder):
    """A file for each date, in folders, with a time axis of one step."""
    for number, date in enumerate(["20210101", "20210111", "20210121"]):
        sub = folder / date
        sub.mkdir()
        with netCDF4.Dataset(sub / f"c_gls_SSM1km_{date}0000_CEURO_S1CSAR_V1.1.1.nc", "w") as file:
            file.createDimension("time", 1)
            time = file.createVariable("time", "f8", ("time",))
            time.setncatts({"units": "days since 1970-01-01 00:00:00", "axis": "T"})
            time[0] = 18628 + 10 * number
            coordinates(file, ascending=False)
            grid_mapping(file)
            soil_moisture(file, ("time", "lat", "lon"), number)


def steps(folder):
    """One file with several steps of time that are no midnights, chunked over time, coordinates in single precision."""
    with netCDF4.Dataset(folder / "steps.nc", "w", format="NETCDF4_CLASSIC") as file:
        file.createDimension("time", 4)
        time = file.createVariable("time", "i4", ("time",))
        time.units = "hours since 2021-03-01 06:00:00"
        time[:] = [0, 24, 48, 73]
        file.createDimension("y", 300)
        file.createDimension("x", 520)
        for name, length, first, step in (("y", 300, 3_000_050, 100), ("x", 520, 4_000_050, 100)):
            axis = file.createVariable(name, "f4", (name,))
            axis.setncatts({"standard_name": f"projection_{name}_coordinate", "units": "m"})
            axis[:] = first + step * np.arange(length)
        crs = file.createVariable("crs", "i4")
        crs.setncatts(
            {
                "grid_mapping_name": "lambert_azimuthal_equal_area",
                "latitude_of_projection_origin": 52.0,
                "longitude_of_projection_origin": 10.0,
                "false_easting": 4321000.0,
                "false_northing": 3210000.0,
                "semi_major_axis": 6378137.0,
                "inverse_flattening": 298.257222101,
                "reference_ellipsoid_name": "GRS 1980",
                "geographic_crs_name": "ETRS89",
                "horizontal_datum_name": "European_Terrestrial_Reference_System_1989",
            }
        )
        array = file.createVariable("ppi", "i2", ("time", "y", "x"), fill_value=-32768, zlib=True, chunksizes=(4, 100, 100))
        array.set_auto_maskandscale(False)
        array.setncatts({"grid_mapping": "crs", "scale_factor": 0.0001})
        for number in range(4):
            array[number] = pattern("i2", number, (300, 520)) * 100


def nowhere(folder):
    """Rows and columns without coordinates."""
    with netCDF4.Dataset(folder / "nowhere.nc", "w") as file:
        file.createDimension("row", 20)
        file.createDimension("column", 30)
        file.createVariable("value", "u1", ("row", "column"))[:] = 7


def curved(folder):
    """A swath: longitude and latitude of every pixel."""
    with netCDF4.Dataset(folder / "curved.nc", "w") as file:
        file.createDimension("y", 20)
        file.createDimension("x", 30)
        y, x = np.indices((20, 30))
        for name, units, values in (("lat", "degrees_north", 50 - y * 0.1 + x * 0.01), ("lon", "degrees_east", 10 + x * 0.1)):
            array = file.createVariable(name, "f8", ("y", "x"))
            array.units = units
            array[:] = values
        value = file.createVariable("value", "u1", ("y", "x"))
        value.coordinates = "lat lon"
        value[:] = 7


def large(folder):
    """64 bit integers that do not fit into 32 bits."""
    with netCDF4.Dataset(folder / "large.nc", "w") as file:
        coordinates(file, ascending=True, rows=20, columns=30)
        array = file.createVariable("count", "i8", ("lat", "lon"))
        array[:] = 7
        array[19, 29] = 2**40


if __name__ == "__main__":
    globals()[sys.argv[1]](pathlib.Path(sys.argv[2]))
