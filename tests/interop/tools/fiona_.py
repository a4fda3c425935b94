"""fiona, on vector data. (Not fiona.py: that would be what it imports.)"""

import fiona
from fiona.crs import CRS

from common import run_vectors


def flat(shape):
    """The vertices of a GeoJSON geometry."""
    return list(shape[:2]) if isinstance(shape[0], (int, float)) else [axis for part in shape for axis in flat(part)]


def examine(report, vector):
    report.layers(fiona.listlayers(vector.path), vector)
    for name, layer in vector.layers.items():
        with fiona.open(vector.path, layer=name) as opened:
            with report.check("crs"):
                assert opened.crs == CRS.from_epsg(layer["epsg"]), f"{layer['epsg']} became {opened.crs}"
            features = list(opened)
        fields = {key: [feature.properties.get(key) for feature in features] for key in layer["fields"]}
        report.features(fields, [flat(feature.geometry.coordinates) for feature in features], layer)


run_vectors("fiona", examine)
