"""Writes one package for every kind that CLMS delivers, and what is true of it: python kinds.py FOLDER [REAL]

FOLDER/data/<kind>.zip       the package, as a producer would zip it
FOLDER/truth/<kind>/*.bin    every pixel of its rasters, bands after rows, little-endian
FOLDER/truth/<kind>/*.tif    the same raster as one plain GeoTIFF, for comparing what tools derive from it
FOLDER/manifest.json         what a tool must find: read by tools/common.py, tools/terra.R and zarrs_reader.rs
FOLDER/decoys.json           the same for folders in which it must not find it

REAL is a folder with real packages; those that hold a raster become kinds of their own.
A new kind is one function with the decorator `kind`: its row in docs/FORMATS.md follows from it.
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import netCDF4
import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

LAEA = "EPSG:3035"
# Laid out so that tiles of 512 pixels are cut at both edges, and one of them holds nothing but nodata.
SHAPE = (700, 1300)
ALL_NODATA = (slice(0, 512), slice(512, 1024))

KINDS = []


@dataclass
class Raster:
    """A raster of a package and all that must survive."""

    name: str
    pixels: np.ndarray  # bands, rows, columns
    nodata: float | None = None
    crs: str = LAEA
    transform: Affine = from_origin(4_321_000, 3_210_000, 10, 10)
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    descriptions: list = field(default_factory=list)
    palette: dict = field(default_factory=dict)  # value: (red, green, blue, alpha)
    file_palette: bool = True  # the file holds it, and not one beside it
    classes: dict = field(default_factory=dict)  # value: name
    options: dict = field(default_factory=dict)  # of GDAL's GTiff driver
    overviews: list = field(default_factory=list)
    times: list = field(default_factory=list)  # days since 2020, one for each band
    source_crs: str | None = None  # how the file says it, where that is not `crs`

    def write(self, path, window=np.s_[:, :]):
        """Writes the raster, or a window of it, as the producer does."""
        pixels = np.ascontiguousarray(self.pixels[:, window[0], window[1]])
        row, column = window[0].start or 0, window[1].start or 0
        profile = {
            "driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2],
            "dtype": pixels.dtype, "crs": self.source_crs or self.crs, "nodata": self.nodata,
            "transform": self.transform @ Affine.translation(column, row),
        }
        # Strips with LZW are what most producers deliver.
        with rasterio.open(path, "w", **profile, **({"COMPRESS": "LZW"} | self.options)) as made:
            made.write(pixels)
            if (self.scale, self.offset) != (1.0, 0.0):
                made.scales, made.offsets = [self.scale] * len(pixels), [self.offset] * len(pixels)
            if self.unit:
                made.units = [self.unit] * len(pixels)
            for number, text in enumerate(self.descriptions, 1):
                made.set_band_description(number, text)
            if self.palette and self.file_palette:
                made.write_colormap(1, self.palette)
            if self.overviews:
                made.build_overviews(self.overviews)


@dataclass
class Layer:
    """A layer of vector data."""

    name: str
    fields: dict  # name: a value for each feature
    features: list  # the vertices of each feature, [x, y, x, y, …]
    epsg: int = 3035


@dataclass
class Package:
    """Files of a package by their path, and what is served of it in the order in which it is."""

    rasters: list
    files: dict = field(default_factory=dict)  # path: bytes, or a function that writes the file or folder
    vectors: dict = field(default_factory=dict)  # served name: layers


def kind(title):
    """Makes a function without arguments that returns a Package a kind; its name is the product's."""

    def add(make):
        KINDS.append((make.__name__.replace("_", "-"), title, make))
        return make

    return add


def single(raster, **files):
    """A package of one raster with its metadata beside it."""
    name = raster.name
    return Package([raster], {f"{name}/{name}.tif": raster.write, **files})


def noise(dtype, low, high, shape=SHAPE, bands=1):
    """Values from `low` to `high`, both of them included, that do not repeat between two tiles."""
    random = np.random.default_rng(bands * 1000 + shape[0])
    if np.dtype(dtype).kind == "f":
        pixels = random.uniform(low, high, (bands, *shape)).astype(dtype)
    else:
        pixels = random.integers(low, high, (bands, *shape), dtype, endpoint=True)
    pixels.flat[0], pixels.flat[-1] = low, high
    return pixels


def with_nodata(pixels, nodata):
    """The same with a whole tile and some scattered pixels of nodata."""
    pixels[(slice(None), *ALL_NODATA)] = nodata
    pixels[:, 5::97, 3::89] = nodata
    return pixels


# --- the kinds, in the order of the table ---------------------------------------------------------------------------

CORINE = {
    1: ("Continuous urban fabric", (230, 0, 77, 255)),
    2: ("Discontinuous urban fabric", (255, 0, 0, 255)),
    12: ("Non-irrigated arable land", (255, 255, 168, 255)),
    18: ("Pastures", (230, 230, 77, 255)),
    23: ("Broad-leaved forest", (128, 255, 0, 255)),
    24: ("Coniferous forest", (0, 166, 0, 255)),
    41: ("Water bodies", (128, 242, 230, 255)),
    44: ("Sea & ocean", (230, 242, 255, 255)),
}


def corine_pixels(dtype, nodata):
    values = np.array(list(CORINE), dtype)
    rows, columns = np.indices(SHAPE)
    return with_nodata(values[(rows // 53 + columns // 37) % len(values)][np.newaxis], nodata)


def vat(rows, colours=True):
    """A `.vat.dbf` as Esri writes it: colours are shares of one."""
    columns = [("VALUE", "N", 10, 0), ("COUNT", "N", 10, 0), ("LABEL3", "C", 60, 0)]
    if colours:
        columns += [("Red", "N", 12, 8), ("Green", "N", 12, 8), ("Blue", "N", 12, 8)]
    width = 1 + sum(column[2] for column in columns)
    out = struct.pack("<B3BIHH20x", 3, 120, 1, 1, len(rows), 33 + 32 * len(columns), width)
    for name, letter, length, decimals in columns:
        out += struct.pack("<11sc4xBB14x", name.encode(), letter.encode(), length, decimals)
    out += b"\r"
    for value, (name, color) in rows.items():
        shares = [f"{part / 255:12.8f}" for part in color[:3]] if colours else []
        cells = [f"{value:10d}", f"{1:10d}", name.ljust(60), *shares]
        out += b" " + "".join(cells).encode()
    return out + b"\x1a"


@kind("UInt8 classes: palette, names in .tif.vat.dbf")
def classes_uint8():
    return single(
        Raster("classes-uint8", corine_pixels("uint8", 255), 255,
               palette={value: color for value, (_, color) in CORINE.items()},
               classes={value: name for value, (name, _) in CORINE.items()}),
        **{"classes-uint8/classes-uint8.tif.vat.dbf": vat(CORINE)})


@kind("UInt8 classes: names in .vat.dbf, colours in .clr")
def classes_clr():
    colours = "".join(f"{value} {red} {green} {blue}\n" for value, (_, (red, green, blue, _)) in CORINE.items())
    return single(
        Raster("classes-clr", corine_pixels("uint8", 255), 255, file_palette=False,
               palette={value: color for value, (_, color) in CORINE.items()},
               classes={value: name for value, (name, _) in CORINE.items()}),
        **{"classes-clr/classes-clr.tif.vat.dbf": vat(CORINE, colours=False), "classes-clr/classes-clr.clr": colours})


@kind("Int8 classes, nodata -128 (CLC V2020)")
def classes_int8():
    return single(
        Raster("classes-int8", corine_pixels("int8", -128), -128, file_palette=False,
               palette={value: color for value, (_, color) in CORINE.items()},
               classes={value: name for value, (name, _) in CORINE.items()}),
        **{"classes-int8/classes-int8.tif.vat.dbf": vat(CORINE)})


@kind("UInt8, no nodata")
def no_nodata():
    pixels = noise("uint8", 0, 255)
    pixels[(slice(None), *ALL_NODATA)] = 0
    return single(Raster("no-nodata", pixels))


@kind("UInt16")
def uint16():
    return single(Raster("uint16", with_nodata(noise("uint16", 0, 65534), 65535), 65535))


@kind("Int16")
def int16():
    return single(Raster("int16", with_nodata(noise("int16", -32767, 32767), -32768), -32768))


@kind("UInt32")
def uint32():
    return single(Raster("uint32", with_nodata(noise("uint32", 0, 2**32 - 2), 2**32 - 1), 2**32 - 1))


@kind("Int32")
def int32():
    return single(Raster("int32", with_nodata(noise("int32", -(2**31) + 1, 2**31 - 1), -(2**31)), -(2**31)))


@kind("Float32, nodata NaN")
def float32_nan():
    return single(Raster("float32-nan", with_nodata(noise("float32", -1e6, 1e6), np.nan), np.nan))


@kind("Float32, nodata -3.4e38")
def float32_lowest():
    lowest = float(np.finfo("float32").min)
    return single(Raster("float32-lowest", with_nodata(noise("float32", -1e6, 1e6), lowest), lowest))


@kind("Float64, nodata -9999")
def float64():
    return single(Raster("float64", with_nodata(noise("float64", -1e12, 1e12), -9999), -9999))


@kind("Int16 with scale, offset and unit")
def scaled():
    return single(Raster("scaled", with_nodata(noise("int16", 0, 10_000), -9999), -9999, scale=0.5, offset=-25.0, unit="%"))


@kind("Three bands")
def bands():
    return single(Raster("bands", with_nodata(noise("uint16", 0, 9999, bands=3), 65535), 65535,
                         descriptions=["spring", "summer", "autumn"]))


@kind("Mosaic of four tiles, one of them missing")
def mosaic():
    pixels = with_nodata(noise("uint8", 0, 100, (1000, 1300)), 255)
    pixels[:, 500:, 650:] = 255
    whole = Raster("mosaic", pixels, 255)
    tile = lambda top, left: lambda path: whole.write(path, np.s_[top:top + 500, left:left + 650])
    return Package([whole], {
        "mosaic/mosaic_E43N31.tif": tile(0, 0),
        "mosaic/mosaic_E44N31.tif": tile(0, 650),
        "mosaic/mosaic_E43N30.tif": tile(500, 0),
    })


@kind("Two rasters: value and confidence")
def value_and_confidence():
    value = Raster("value-and-confidence", with_nodata(noise("uint16", 0, 4000), 65535), 65535)
    confidence = Raster("x_confidence", with_nodata(noise("uint8", 0, 100), 255), 255)
    return Package([value, confidence], {"d/x_value.tif": value.write, "d/x_confidence.tif": confidence.write})


@kind("Geographic CRS (EPSG:4326)")
def geographic():
    return single(Raster("geographic", with_nodata(noise("uint8", 0, 200), 255), 255, crs="EPSG:4326",
                         transform=from_origin(9.5, 54.25, 1 / 1008, 1 / 1008)))


@kind("CRS without an EPSG code")
def own_crs():
    crs = "+proj=laea +lat_0=45.5 +lon_0=11.25 +x_0=2000000 +y_0=1000000 +ellps=GRS80 +units=m +type=crs"
    return single(Raster("own-crs", with_nodata(noise("uint8", 0, 200), 255), 255, crs=CRS.from_proj4(crs).to_wkt(version="WKT2_2019"),
                         transform=from_origin(2_100_000, 1_200_000, 10, 10)))


@kind("CRS written as IGNF:ETRS89LAEA")
def ignf_crs():
    return single(Raster("ignf-crs", with_nodata(noise("uint8", 0, 200), 255), 255,
                         source_crs=CRS.from_user_input("IGNF:ETRS89LAEA").to_wkt()))


@kind("JPEG in TIFF")
def jpeg():
    rows, columns = np.indices(SHAPE)
    smooth = (127 + 100 * np.sin(rows / 40) * np.cos(columns / 60)).astype("uint8")[np.newaxis]
    return single(Raster("jpeg", smooth, options={"COMPRESS": "JPEG", "JPEG_QUALITY": 85, "TILED": True}))


@kind("Strips of one row, LZW, predictor 2")
def strips():
    return single(Raster("strips", with_nodata(noise("uint16", 0, 900), 65535), 65535,
                         options={"COMPRESS": "LZW", "PREDICTOR": 2, "BLOCKYSIZE": 1}))


@kind("BigTIFF with overviews, big-endian")
def bigtiff():
    return single(Raster("bigtiff", with_nodata(noise("int16", -900, 900), -32768), -32768, overviews=[2, 4, 8],
                         options={"BIGTIFF": "YES", "TILED": True, "COMPRESS": "DEFLATE", "ENDIANNESS": "BIG"}))


@kind("Tiles of 512, deflate: copied as they are")
def raw_copy():
    return single(Raster("raw-copy", with_nodata(noise("uint8", 0, 30), 255), 255,
                         options={"COMPRESS": "DEFLATE", "TILED": True, "BLOCKXSIZE": 512, "BLOCKYSIZE": 512}))


@kind("One pixel")
def one_pixel():
    return single(Raster("one-pixel", np.array([[[42]]], "uint8"), 255))


def netcdf(rasters, day=None):
    """Writes a netCDF file of variables as the global products are: degrees, latitudes from south to north."""

    def write(path):
        with netCDF4.Dataset(path, "w") as file:
            dx, _, x0, _, dy, y0 = list(rasters[0].transform)[:6]
            _, height, width = rasters[0].pixels.shape
            centres = {"lat": y0 + dy * (np.arange(height)[::-1] + 0.5), "lon": x0 + dx * (np.arange(width) + 0.5)}
            for name, letter, values in (("lat", "Y", centres["lat"]), ("lon", "X", centres["lon"])):
                file.createDimension(name, len(values))
                axis = file.createVariable(name, "f8", (name,))
                axis.setncatts({"axis": letter, "units": {"lat": "degrees_north", "lon": "degrees_east"}[name]})
                axis[:] = values
            if day is not None:
                file.createDimension("time", 1)
                time = file.createVariable("time", "f8", ("time",))
                time.setncatts({"axis": "T", "units": "days since 2020-01-01", "standard_name": "time"})
                time[:] = day
            for raster in rasters:
                dimensions = ("lat", "lon") if day is None else ("time", "lat", "lon")
                variable = file.createVariable(raster.name.split("/")[-1], raster.pixels.dtype, dimensions, zlib=True,
                                               fill_value=raster.nodata)
                variable.set_auto_maskandscale(False)
                variable.setncatts({"scale_factor": raster.scale, "add_offset": raster.offset, "units": raster.unit})
                plane = raster.pixels[0 if day is None else raster.times.index(day), ::-1]
                variable[:] = plane if day is None else plane[np.newaxis]

    return write


# Steps that a double holds: what is computed from the centres is exact.
GLOBAL = {"crs": "EPSG:4326", "transform": from_origin(10, 50, 1 / 128, 1 / 128)}


@kind("netCDF: two variables, latitudes ascending")
def netcdf_variables():
    soil = Raster("netcdf-variables", with_nodata(noise("int16", 0, 9000), -1), -1, scale=0.5, offset=10.0, unit="%", **GLOBAL)
    height = Raster("height", with_nodata(noise("float32", 0, 99), np.nan), np.nan, unit="m", **GLOBAL)
    return Package([soil, height], {"d/values.nc": netcdf([soil, height])})


@kind("netCDF: a file for each of three dates")
def netcdf_dates():
    days = [366, 376, 386]
    series = Raster("netcdf-dates", with_nodata(noise("uint8", 0, 200, bands=3), 255), 255, scale=0.5, unit="%",
                    times=days, descriptions=["2021-01-01", "2021-01-11", "2021-01-21"], **GLOBAL)
    return Package([series], {f"d/{text.replace('-', '')}/ssm_{text.replace('-', '')}.nc": netcdf([series], day)
                              for day, text in zip(days, series.descriptions)})


DRIVERS = {"gpkg": "GPKG", "gdb": "OpenFileGDB", "shp": "ESRI Shapefile"}


def layer(name, count, epsg=3035, shift=0):
    """Squares in rows of ten; outer rings run clockwise, as every format has them."""
    corners = [(0, 0), (0, 90), (90, 90), (90, 0), (0, 0)]
    place = lambda number: (4_321_000 + shift + number % 10 * 100, 3_210_000 - number // 10 * 100)
    return Layer(name, epsg=epsg, fields={
        "code": [11100 + number + shift for number in range(count)],
        "label": [f"Stadtgefüge & {name} {number + shift}" for number in range(count)],
        "area": [8100.0 + number / 4 + shift for number in range(count)],
    }, features=[[axis for x, y in corners for axis in (place(number)[0] + x, place(number)[1] + y)] for number in range(count)])


def vector_file(layers, ending):
    """Writes layers with ogr2ogr, as a file or a folder."""

    def write(path):
        for number, layer in enumerate(layers):
            rows = [dict(zip(layer.fields, row)) for row in zip(*layer.fields.values())]
            shapes = [[list(zip(vertices[::2], vertices[1::2]))] for vertices in layer.features]
            features = [{"type": "Feature", "properties": row, "geometry": {"type": "Polygon", "coordinates": shape}}
                        for row, shape in zip(rows, shapes)]
            source = path.with_name(f"{path.name}.{number}.geojson")
            source.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
            also = ["-update"] if number else []
            subprocess.run(["ogr2ogr", "-q", "-f", DRIVERS[ending], *also, "-nln", layer.name,
                            "-a_srs", f"EPSG:{layer.epsg}", path, source], check=True)
            source.unlink()

    return write


@kind("Vector: GeoPackage of two layers")
def vector_gpkg():
    layers = [layer("lclu", 250), layer("boundary", 1)]
    return Package([], {"d/city.gpkg": vector_file(layers, "gpkg")}, {"vector-gpkg.gpkg": layers})


@kind("Vector: file geodatabase of two layers")
def vector_gdb():
    layers = [layer("U2018_CLC2018", 250), layer("frame", 1)]
    return Package([], {"d/U2018.gdb": vector_file(layers, "gdb")}, {"vector-gdb.gdb": layers})


@kind("Vector: shapefile")
def vector_shp():
    # Its layer is called like the file, and the file like the product.
    served = layer("vector-shp", 250)
    return Package([], {"d/vector-shp.shp": vector_file([served], "shp")}, {"vector-shp.shp": [served]})


# --- what is no kind --------------------------------------------------------------------------------------------------


def decoy():
    """In everything but its shape another than `classes_uint8`: with it the suite proves that its checks can fail."""
    pixels = np.linspace(-5e5, 5e5, SHAPE[0] * SHAPE[1]).reshape(1, *SHAPE)
    return single(Raster("decoy", pixels, -5e5, crs="EPSG:4326", transform=from_origin(20, 40, 0.001, 0.001),
                         scale=0.5, offset=1.0, unit="m"))


# --- real packages ---------------------------------------------------------------------------------------------------


def named_classes(table):
    """Class names by value of a `.vat.dbf`, as GDAL's ogrinfo reads it."""
    told = subprocess.run(["ogrinfo", "-q", "-al", table], capture_output=True, text=True, check=True).stdout
    fields = [line.strip().partition(" = ") for line in told.splitlines() if " = " in line]
    values = [int(float(value)) for name, _, value in fields if name.lower().startswith("value ")]
    names = [value.strip() for name, _, value in fields if name.lower().startswith(("class_name", "classnames"))]
    assert len(values) == len(names), f"{table}: {len(values)} values, {len(names)} names"
    return dict(zip(values, names))


def real_kinds(folder):
    """The rasters of real packages, as rasterio reads them from the zip."""
    for path in sorted(Path(folder).glob("*.zip")):
        with zipfile.ZipFile(path) as package:
            names = package.namelist()
            rasters = [name for name in names if name.lower().endswith(".tif")]
            if len(rasters) != 1:
                continue
            clr = [package.read(name).decode() for name in names if name == f"{rasters[0][:-4]}.clr"]
        table = f"{rasters[0]}.vat.dbf"
        classes = named_classes(f"/vsizip/{path}/{table}") if table in names else {}
        with rasterio.open(f"/vsizip/{path}/{rasters[0]}") as source:
            try:
                palette, in_file = source.colormap(1), True
            except ValueError:
                rows = [list(map(int, line.split()[:4])) for text in clr for line in text.splitlines() if line.strip()]
                # The file has colours for any value; what counts are those that mean something.
                palette = {value: (*color, 255) for value, *color in rows if value in classes or not classes}
                in_file = False
            raster = Raster(path.stem, source.read(), source.nodata, source.crs.to_string(), source.transform,
                            source.scales[0], source.offsets[0], source.units[0] or "", palette=palette,
                            classes=classes, file_palette=in_file)
        yield path, raster


def real_vectors(folder):
    """The GeoPackages of real packages, as the system's GDAL reads them from the zip."""
    for path in sorted(Path(folder).glob("*.zip")):
        with zipfile.ZipFile(path) as package:
            names = [name for name in package.namelist() if name.endswith(".gpkg")]
        if len(names) != 1:
            continue
        with tempfile.TemporaryDirectory() as unpacked:
            with zipfile.ZipFile(path) as package:
                source = package.extract(names[0], unpacked)
            told = subprocess.run(["ogrinfo", "-q", source], capture_output=True, text=True, check=True).stdout
            layers = [Layer(name, *geojson(source, name)) for name in re.findall(r"^\d+: (\S+)", told, re.MULTILINE)]
        yield path, {f"{path.stem}.gpkg": layers}


def geojson(source, name):
    """Fields, vertices and CRS of a layer."""
    told = subprocess.run(["ogr2ogr", "-f", "GeoJSON", "-lco", "COORDINATE_PRECISION=15", "/vsistdout/", source, name],
                          capture_output=True, text=True, check=True).stdout
    collection = json.loads(told)
    features = collection["features"]
    epsg = int(collection["crs"]["properties"]["name"].rsplit(":")[-1])

    def flat(shape):
        return [float(axis) for axis in shape[:2]] if isinstance(shape[0], (int, float)) else [axis for part in shape for axis in flat(part)]

    fields = {key: [feature["properties"][key] for feature in features] for key in features[0]["properties"]}
    return fields, [flat(feature["geometry"]["coordinates"]) for feature in features], epsg


# --- writing ---------------------------------------------------------------------------------------------------------


def truth(folder, raster):
    """Writes the pixels and returns the description."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / raster.name
    little = raster.pixels.astype(raster.pixels.dtype.newbyteorder("<"))
    Path(f"{stem}.bin").write_bytes(little.tobytes())
    Raster.write(raster, f"{stem}.tif")
    crs = CRS.from_user_input(raster.crs)
    nodata = raster.nodata
    return {
        "name": raster.name, "pixels": f"{stem}.bin", "source": f"{stem}.tif",
        "dtype": str(raster.pixels.dtype), "shape": raster.pixels.shape,
        "epsg": crs.to_epsg(), "wkt": crs.to_wkt(version="WKT2_2019"),
        "transform": list(raster.transform)[:6],
        # JSON has no NaN.
        "nodata": "nan" if nodata is not None and np.isnan(nodata) else nodata,
        "times": [str(np.datetime64("2020-01-01") + day) for day in raster.times],
        "scale": raster.scale, "offset": raster.offset, "unit": raster.unit,
        "palette": {str(value): list(color) for value, color in raster.palette.items()},
        "classes": {str(value): name for value, name in raster.classes.items()},
    }


def described(vectors):
    """The truth of vector data: names, CRS, fields and every vertex."""
    return [{"file": file, "layers": [{"name": layer.name, "epsg": layer.epsg, "fields": layer.fields,
                                       "features": layer.features} for layer in layers]}
            for file, layers in vectors.items()]


def pack(path, package, folder):
    folder.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in package.files.items():
            if not callable(content):
                out.writestr(name, content)
                continue
            target = folder / name.replace("/", "_")
            content(target)
            if target.suffix == ".shp":
                for part in folder.glob(f"{target.stem}.*"):
                    out.write(part, str(Path(name).with_suffix(part.suffix)))
            elif target.is_dir():
                for part in target.iterdir():
                    out.write(part, f"{name}/{part.name}")
            else:
                out.write(target, name)
        out.writestr("Metadata/metadata.xml", "<gmd:MD_Metadata xmlns:gmd='http://www.isotc211.org/2005/gmd'/>\n")


def main():
    folder = Path(sys.argv[1])
    (folder / "data").mkdir(parents=True, exist_ok=True)
    manifest = []
    for name, title, make in KINDS:
        package = make()
        pack(folder / "data" / f"{name}.zip", package, folder / "packages" / name)
        for raster in package.rasters:
            if raster.options.get("COMPRESS") == "JPEG":
                # What counts is what the file decodes to.
                (file,) = (folder / "packages" / name).iterdir()
                with rasterio.open(file) as lossy:
                    raster.pixels, raster.options = lossy.read(), {}
        rasters = [truth(folder / "truth" / name, raster) for raster in package.rasters]
        manifest.append({"kind": name, "title": title, "real": False, "rasters": rasters,
                         "vectors": described(package.vectors)})
    for path, raster in real_kinds(sys.argv[2]) if len(sys.argv) > 2 else []:
        (folder / "data" / path.name).write_bytes(path.read_bytes())
        rasters = [truth(folder / "truth" / raster.name, raster)]
        manifest.append({"kind": raster.name, "title": f"real: {raster.name}", "real": True, "rasters": rasters,
                         "vectors": []})
    for path, vectors in real_vectors(sys.argv[2]) if len(sys.argv) > 2 else []:
        (folder / "data" / path.name).write_bytes(path.read_bytes())
        manifest.append({"kind": path.stem, "title": f"real: {path.stem}", "real": True, "rasters": [],
                         "vectors": described(vectors)})
    pack(folder / "data" / "decoy.zip", decoy(), folder / "packages" / "decoy")
    write = lambda name, content: (folder / name).write_text(json.dumps(content, indent=1, allow_nan=False))
    write("manifest.json", manifest)
    # Where the mount's folders are others than these, every check must fail.
    rasters, vectors = ({kind["kind"]: kind[of] for kind in manifest} for of in ("rasters", "vectors"))
    write("decoys.json", [
        {"kind": "wrong", "rasters": rasters["classes-uint8"], "vectors": vectors["vector-gpkg"]},
        {"kind": "garbage", "rasters": rasters["classes-uint8"], "vectors": vectors["vector-gpkg"]},
        {"kind": "undated", "rasters": rasters["netcdf-dates"], "vectors": []},
    ])
    others = [layer("lclu", 250, epsg=3034, shift=5), layer("boundary", 2, epsg=3034), layer("more", 1)]
    vector_file(others, "gpkg")(folder / "packages" / "decoy.gpkg")


main()
