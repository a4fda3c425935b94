"""QGIS itself, without a window: layers, band statistics and the legend that it draws by itself.

Run by the system's interpreter, whose packages come with QGIS.
"""

import sys

import numpy as np
from qgis.core import (Qgis, QgsApplication, QgsCoordinateReferenceSystem, QgsPalettedRasterRenderer, QgsRasterBandStats,
                       QgsRasterLayer)

from common import Report, assert_same, run

TYPES = {Qgis.Byte: "uint8", Qgis.UInt16: "uint16", Qgis.Int16: "int16", Qgis.UInt32: "uint32", Qgis.Int32: "int32",
         Qgis.Float32: "float32", Qgis.Float64: "float64"}


def pixels(provider, raster):
    """Every pixel as QGIS gives it to renderers and tools."""
    bands = []
    for number in range(1, provider.bandCount() + 1):
        block = provider.block(number, provider.extent(), provider.xSize(), provider.ySize())
        dtype = np.dtype(TYPES[block.dataType()])
        values = np.frombuffer(bytes(block.data()), dtype).reshape(block.height(), block.width())
        bands.append(values)
    return np.stack(bands)


def examine(report, raster, path):
    layer = QgsRasterLayer(path, "layer", "gdal")
    with report.check("valid"):
        assert layer.isValid(), layer.error().summary() or "not a valid layer"
    if not layer.isValid():
        return
    provider = layer.dataProvider()
    with report.check("crs"):
        wanted = QgsCoordinateReferenceSystem.fromEpsgId(raster.epsg) if raster.epsg else QgsCoordinateReferenceSystem.fromWkt(raster.wkt)
        found = layer.crs()
        same = found.authid() == wanted.authid() if raster.epsg else found.toProj() == wanted.toProj()
        assert found.isValid() and same, f"{wanted.toProj()} became {found.authid()} {found.toProj()}"
    with report.check("transform"):
        dx, _, x0, _, dy, y0 = raster.transform
        _, height, width = raster.shape
        extent = layer.extent()
        found = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
        wanted = [x0, y0 + dy * height, x0 + dx * width, y0]
        assert np.allclose(found, wanted, rtol=1e-12, atol=0), f"extent {wanted} became {found}"
        assert (layer.width(), layer.height()) == (width, height), f"{width} x {height} became {layer.width()} x {layer.height()}"
    values = pixels(provider, raster)
    scaled = raster.pixels.astype(float) * raster.scale + raster.offset
    # QGIS shows values scaled; where nothing is, is a check of its own.
    with report.check("pixels"):
        assert values.shape == raster.shape, f"shape {raster.shape} became {values.shape}"
        assert_same(np.where(raster.missing, 0, values), np.where(raster.missing, 0, scaled.astype(values.dtype)))
    with report.check("nodata"):
        assert provider.sourceHasNoDataValue(1) == (raster.nodata is not None), f"{raster.nodata} became {provider.sourceHasNoDataValue(1)}"
        if raster.nodata is not None:
            found, wanted = provider.sourceNoDataValue(1), raster.nodata
            same = np.isnan([found, wanted]).all() or raster.dtype.type(found) == raster.dtype.type(wanted)
            assert same, f"{wanted} became {found}"
    with report.check("statistics"):
        found = provider.bandStatistics(1, QgsRasterBandStats.All)
        valid = scaled[0][~raster.missing[0]]
        wanted = [valid.min(), valid.max(), valid.mean()]
        shown = [found.minimumValue, found.maximumValue, found.mean]
        assert np.allclose(shown, wanted, rtol=1e-6), f"{wanted} became {shown}"
    if path == raster.tif:
        legend(report, raster, layer)


def legend(report, raster, layer):
    """Colours: the renderer that QGIS chooses by itself. Names: what it reads from the table of classes."""
    renderer = layer.renderer()
    shown = {}
    if isinstance(renderer, QgsPalettedRasterRenderer):
        shown = {int(entry.value): entry.color.getRgb() for entry in renderer.classes()}
    report.colours(shown, raster)
    with report.check("classes"):
        names = {}
        if raster.classes and isinstance(renderer, QgsPalettedRasterRenderer):
            names = {int(entry.value): entry.label for entry in renderer.classes()}
        wrong = {value: (name, names.get(value)) for value, name in raster.classes.items() if names.get(value) != name}
        assert not wrong, f"other names: {wrong}"


def both_views(report, raster):
    for view in ("tif", "zarr"):
        one = Report(report.kind, f"qgis-{view}")
        try:
            examine(one, raster, getattr(raster, view))
        except Exception as error:
            one.tell("open", f"{type(error).__name__}: {error}")


application = QgsApplication([], False)
application.initQgis()
run("qgis", both_views)
application.exitQgis()
