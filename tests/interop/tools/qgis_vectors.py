"""QGIS itself, without a window: vector layers."""

from qgis.core import QgsApplication, QgsVectorLayer

from common import run_vectors


def plain(value):
    """QGIS has a NULL of its own."""
    return None if value is None or (hasattr(value, "isNull") and value.isNull()) else value


def examine(report, vector):
    whole = QgsVectorLayer(vector.path, "all", "ogr")
    with report.check("valid"):
        # error() of an invalid layer crashes QGIS 3.22.
        assert whole.isValid(), "not a valid layer"
    if not whole.isValid():
        return
    # number, name, count, … separated by a text of QGIS' own
    names = [sublayer.split(whole.dataProvider().sublayerSeparator())[1] for sublayer in whole.dataProvider().subLayers()]
    report.layers(names, vector)
    for name, truth in vector.layers.items():
        layer = QgsVectorLayer(f"{vector.path}|layername={name}", name, "ogr")
        with report.check("crs"):
            assert layer.crs().authid() == f"EPSG:{truth['epsg']}", f"{truth['epsg']} became {layer.crs().authid()}"
        features = list(layer.getFeatures())
        known = layer.fields().names()
        fields = {key: [plain(feature[key]) for feature in features] for key in truth["fields"] if key in known}
        shapes = [[axis for vertex in feature.geometry().vertices() for axis in (vertex.x(), vertex.y())] for feature in features]
        report.features(fields, shapes, truth)


application = QgsApplication([], False)
application.initQgis()
run_vectors("qgis-vector", examine)
application.exitQgis()
