"""STAC: pystac and stac-validator on every item, and pystac's view of the rasters.

    stac.py MANIFEST MOUNTED SCHEMAS     the items of the kinds, line by line like every tool
    stac.py --catalogue CATALOG SCHEMAS  everything below a catalog.json: {"catalogs": 1, "collections": …, "items": …}

SCHEMAS is the folder of schemas.py: nothing here may ask the network.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pystac
from pystac.validation import stac_validator as pystac_validator
from stac_validator.stac_validator import StacValidate

from common import Report, assert_number, run


class Offline(pystac.stac_io.DefaultStacIO):
    """Reads files only."""

    def read_text(self, source, *arguments, **options):
        assert not str(source).startswith("http"), f"{source} is on the network; schemas.py does not have it"
        return super().read_text(source, *arguments, **options)


def set_up(schemas):
    """pystac with the schemas of the folder."""
    pystac.StacIO.set_default(Offline)
    validator = pystac_validator.JsonSchemaSTACValidator()
    for address, path in json.loads(Path(schemas, "schemas.json").read_text()).items():
        validator.schema_cache[address] = json.loads(Path(path).read_text())
    pystac.validation.set_validator(validator)


def validated(path, schemas):
    """stac-validator, which is another program with the same schemas."""
    validator = StacValidate(str(path), schema_config=str(Path(schemas, "schemas.json")))
    validator.run()
    (message,) = validator.message
    assert message["valid_stac"], f"{message.get('error_type')}: {message.get('error_message')}"


def examine(report, raster, schemas):
    folder = Path(raster.tif).parent
    with Report(report.kind, "stac-validator").check("schema"):
        validated(folder / "item.json", schemas)
    item = pystac.Item.from_file(folder / "item.json")
    with report.check("schema"):
        item.validate()
    for path, views in ((raster.tif, "data"), (raster.zarr, "zarr")):
        served = {asset.get_absolute_href(): asset for asset in item.assets.values()}
        with report.check("asset"):
            assert path in served and Path(path).exists(), f"no asset is {path} but {list(served)}"
            assert views in served[path].roles or "data" in served[path].roles, f"roles {served[path].roles}"
        fields = served[path].extra_fields
        report.type(fields["data_type"], raster)
        with report.check("crs"):
            wanted = f"EPSG:{raster.epsg}" if raster.epsg else None
            assert fields["proj:code"] == wanted, f"{wanted} became {fields['proj:code']}"
            assert wanted or fields["proj:wkt2"].startswith("PROJCRS["), "neither code nor text"
        with report.check("transform"):
            assert fields["proj:transform"][:6] == raster.transform, f"{raster.transform} became {fields['proj:transform']}"
            assert fields["proj:shape"] == list(raster.shape[1:]), f"{raster.shape[1:]} became {fields['proj:shape']}"
            assert len(fields["bands"]) == raster.shape[0], f"{raster.shape[0]} bands became {len(fields['bands'])}"
        with report.check("nodata"):
            assert_number(fields.get("nodata"), raster.nodata)
        band = fields["bands"][0]
        with report.check("statistics"):
            valid = raster.pixels[0][~raster.missing[0]].astype(float)
            wanted = [valid.min(), valid.max(), valid.mean(), valid.std()]
            found = [band["statistics"][name] for name in ("minimum", "maximum", "mean", "stddev")]
            assert np.allclose(found, wanted, rtol=1e-9), f"{wanted} became {found}"
        report.scaling(band.get("raster:scale", 1.0), band.get("raster:offset", 0.0), band.get("unit", ""), raster)
        # A class must have a title; one without a name has its value.
        titles = {entry["value"]: entry["title"] for entry in band.get("classification:classes", [])}
        names = {value: "" if title == f"class {value}" else title for value, title in titles.items()}
        report.classes(names, raster)


def catalogue(path, schemas):
    counts = {"catalogs": 0, "collections": 0, "items": 0, "ready": 0}
    root = pystac.Catalog.from_file(path)
    for parent, _, items in root.walk():
        parent.validate()
        validated(parent.get_self_href(), schemas)
        counts["collections" if isinstance(parent, pystac.Collection) else "catalogs"] += 1
        for item in items:
            item.validate()
            validated(item.get_self_href(), schemas)
            assert item.get_root() is root and item.get_collection() is parent, f"{item.id}: other links"
            counts["items"] += 1
            counts["ready"] += item.properties["clms:state"] == "ready"
    print(json.dumps(counts))


set_up(sys.argv[3])
if sys.argv[1] == "--catalogue":
    catalogue(sys.argv[2], sys.argv[3])
else:
    run("pystac", lambda report, raster: examine(report, raster, sys.argv[3]))
