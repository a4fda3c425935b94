"""tifffile: a reader of TIFF that shares nothing with GDAL."""

import numpy as np
import tifffile

from common import run


def examine(report, raster):
    with tifffile.TiffFile(raster.tif) as opened:
        page = opened.series[0].keyframe
        values = opened.series[0].levels[0].asarray()
        report.type(values.dtype, raster)
        report.pixels(values.reshape(raster.shape) if values.size == np.prod(raster.shape) else values, raster)
        keys = page.geotiff_tags
        with report.check("crs"):
            found = keys.get("ProjectedCSTypeGeoKey", keys.get("GeographicTypeGeoKey"))
            with tifffile.TiffFile(raster.source) as source:
                wanted = source.series[0].keyframe.geotiff_tags
            if raster.epsg:
                assert found == raster.epsg, f"{raster.epsg} became {found}"
            else:
                for key, value in wanted.items():
                    same = "Citation" in key or np.allclose(value, keys[key], rtol=1e-9)
                    assert same, f"{key} {value} became {keys[key]}"
        dx, dy, _ = keys["ModelPixelScale"]
        column, row, _, x, y, _ = keys["ModelTiepoint"]
        report.transform([dx, 0.0, x - column * dx, 0.0, -dy, y + row * dy], raster)
        # tifffile gives 0 where the tag is missing.
        stated = page.tags.get(42113)
        report.nodata(None if stated is None else float(stated.value), raster)
        palette = {} if page.colormap is None else {
            value: tuple(int(part) // 257 for part in page.colormap[:, value]) for value in range(page.colormap.shape[1])}
        report.colours(palette, raster)


run("tifffile", examine)
