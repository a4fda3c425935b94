"""The command line programs of the system's GDAL for vector data: ogrinfo and ogr2ogr."""

import json
import re
import subprocess

from common import run_vectors


def call(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr.strip()}"
    return done.stdout


def flat(shape):
    """The vertices of a GeoJSON geometry."""
    return shape[:2] if isinstance(shape[0], (int, float)) else [axis for part in shape for axis in flat(part)]


def examine(report, vector):
    told = call("ogrinfo", "-ro", "-q", vector.path)
    report.layers(re.findall(r"^(?:\d+|Layer): (\S+)", told, re.MULTILINE), vector)
    for name, layer in vector.layers.items():
        translated = json.loads(call("ogr2ogr", "-f", "GeoJSON", "-lco", "COORDINATE_PRECISION=15", "/vsistdout/", vector.path, name))
        with report.check("crs"):
            found = translated["crs"]["properties"]["name"]
            assert found == f"urn:ogc:def:crs:EPSG::{layer['epsg']}", f"{layer['epsg']} became {found}"
        features = translated["features"]
        fields = {key: [feature["properties"].get(key) for feature in features] for key in layer["fields"]}
        report.features(fields, [flat(feature["geometry"]["coordinates"]) for feature in features], layer)


run_vectors("ogr", examine)
