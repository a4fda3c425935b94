"""Collects the schemas of STAC and of the extensions that the mount uses: python schemas.py PACKAGES FOLDER

The extensions' schemas are published on the web only. PACKAGES holds archives of Python packages that carry copies
(requirements-schemas.txt): `eopf` as files, the sources of `pystac-ext-*` inside the recorded answers of their tests.
The core's come with pystac. FOLDER gets a file for each, and `schemas.json`, which maps addresses to files.
"""

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import yaml
from pystac.validation.local_validator import get_local_schema_cache

EXTENSIONS = [f"https://stac-extensions.github.io/{name}/schema.json"
              for name in ("projection/v2.0.0", "raster/v2.0.0", "classification/v2.0.0", "file/v2.1.0",
                           "table/v1.2.0")]
PROJJSON = "https://proj.org/schemas/v0.7/projjson.schema.json"


def recorded(archive):
    """The answers that the tests of a source package recorded (vcrpy), by their address."""
    with tarfile.open(archive) as files:
        for file in files:
            if "/cassettes/" in file.name and file.name.endswith(".yaml"):
                # The C loader: some of them are large.
                for one in yaml.load(files.extractfile(file), yaml.CSafeLoader)["interactions"]:
                    text = one["response"]["body"]["string"]
                    if one["response"]["status"]["code"] == 200 and one["request"]["uri"].endswith("schema.json"):
                        yield one["request"]["uri"], json.loads(text)


def packed(archive):
    """The schemas of a wheel, by the address they give themselves."""
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if "/stac_extensions/extensions/" in name and name.endswith(".json"):
                schema = json.loads(files.read(name))
                yield schema.get("$id", "").rstrip("#"), schema


def main():
    packages, folder = Path(sys.argv[1]), Path(sys.argv[2])
    found = {}
    for archive in sorted(packages.iterdir()):
        read = recorded if archive.name.endswith(".tar.gz") else packed
        found.update(read(archive))
    # One address of the projection's schema leads to the other.
    found.setdefault(PROJJSON, found.get("https://proj.org/en/latest/schemas/v0.7/projjson.schema.json"))
    schemas = get_local_schema_cache() | {address: found.get(address) for address in [*EXTENSIONS, PROJJSON]}
    missing = [address for address, schema in schemas.items() if schema is None]
    assert not missing, f"no schema of {missing} in {packages}"
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for number, (address, schema) in enumerate(schemas.items()):
        index[address] = str((folder / f"{number:02}-{Path(address).parent.parent.name}-{Path(address).name}").absolute())
        Path(index[address]).write_text(json.dumps(schema))
    (folder / "schemas.json").write_text(json.dumps(index, indent=1))


main()
