"""STAC: pystac and stac-validator on every item, and pystac's view of the rasters.

    stac.py MANIFEST MOUNTED SCHEMAS     the items of the kinds, check by check like every tool
    stac.py --catalogue CATALOG SCHEMAS  everything below a catalog.json: {"catalogs": 1, "collections": …, "items": …}

SCHEMAS is the folder of schemas.py: nothing here may ask the network.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pystac
from pystac.validation import stac_validator as pystac_validator
from stac_validator.stac_validator import StacValidate

from common import Report, assert_number, run, run_vectors


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


def opened(report, folder, schemas):
    """The item of a product; validated, and its assets are the files that it says."""
    with Report(report.kind, report.tool.replace("pystac", "stac-validator")).check("schema"):
        validated(folder / "item.json", schemas)
    item = pystac.Item.from_file(folder / "item.json")
    with report.check("schema"):
        item.validate()
    with report.check("checksums"):
        sums = [asset for asset in item.assets.values() if "file:checksum" in asset.extra_fields]
        assert sums, "no asset has a checksum"
        for asset in sums:
            content = Path(asset.get_absolute_href()).read_bytes()
            # A multihash: SHA-256 of 32 bytes.
            told = (asset.extra_fields["file:size"], asset.extra_fields["file:checksum"])
            wanted = (len(content), "1220" + hashlib.sha256(content).hexdigest())
            assert told == wanted, f"{asset.href}: {wanted} became {told}"
    return item


def examine(report, raster, schemas):
    item = opened(report, Path(raster.tif).parent, schemas)
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


def examine_vector(report, vector, schemas):
    item = opened(report, Path(vector.path).parent, schemas)
    with report.check("asset"):
        served = {asset.get_absolute_href().rstrip("/"): asset for asset in item.assets.values()}
        assert vector.path in served and Path(vector.path).exists(), f"no asset is {vector.path} but {list(served)}"
        assert "data" in served[vector.path].roles, f"roles {served[vector.path].roles}"


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
    run_vectors("pystac-vector", lambda report, vector: examine_vector(report, vector, sys.argv[3]))
