"""geopandas, which reads with pyogrio, on vector data. (Not geopandas.py: that would be what it imports.)"""

import geopandas
import pandas
import pyogrio
import shapely

from common import run_vectors


def plain(value):
    """pandas has missing values of its own, and times that JSON writes as text."""
    if pandas.isna(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def examine(report, vector):
    report.layers(pyogrio.list_layers(vector.path)[:, 0], vector)
    for name, layer in vector.layers.items():
        frame = geopandas.read_file(vector.path, layer=name, engine="pyogrio")
        with report.check("crs"):
            assert frame.crs.to_epsg() == layer["epsg"], f"{layer['epsg']} became {frame.crs}"
        fields = {key: [plain(value) for value in frame[key]] for key in layer["fields"] if key in frame}
        # Vertices in the order in which they are stored: that of GeoJSON.
        report.features(fields, [shapely.get_coordinates(shape).ravel().tolist() for shape in frame.geometry], layer)


run_vectors("geopandas", examine)
