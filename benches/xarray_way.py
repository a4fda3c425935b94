"""What xcube-clms does with a GeoTIFF, in a few lines: rioxarray, masked, in chunks, to Zarr. python xarray_way.py TIF ZARR"""

import sys

import rioxarray

source, target = sys.argv[1:]
raster = rioxarray.open_rasterio(source, chunks={"x": 2000, "y": 2000}, masked=True).squeeze("band", drop=True)
raster.encoding.clear()
raster.chunk({"x": 2000, "y": 2000}).to_dataset(name="band").to_zarr(target, mode="w", zarr_format=2)
