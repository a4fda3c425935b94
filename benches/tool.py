"""One task of a Python user: python tool.py windows TIF | mean ZARR"""

import random
import sys

task, path = sys.argv[1:]
if task == "windows":
    import rasterio
    from rasterio.windows import Window

    places = random.Random(7)
    with rasterio.open(path) as raster:
        total = 0.0
        for _ in range(300):
            column, row = places.randrange(raster.width - 256), places.randrange(raster.height - 256)
            total += float(raster.read(1, window=Window(column, row, 256, 256)).mean())
    print(total)
elif task == "mean":
    import xarray

    print(float(xarray.open_zarr(path)["band"].mean()))
else:
    raise SystemExit(f"no such task: {task}")
