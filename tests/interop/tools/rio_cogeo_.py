"""rio cogeo validate --strict: the command itself, in one process for all kinds."""

from click.testing import CliRunner
from rasterio.rio.main import main_group

from common import run


def examine(report, raster):
    with report.check("strict"):
        done = CliRunner().invoke(main_group, ["cogeo", "validate", "--strict", raster.tif])
        assert done.exit_code == 0 and "is a valid cloud optimized GeoTIFF" in done.output, done.output


run("rio-cogeo", examine)
