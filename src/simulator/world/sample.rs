//! The sample world: datasets like the real ones, with their quirks (CLMS-API sections 2.1 to 2.4).

use serde_json::{Value, json};

use super::{
    World,
    builder::{choice, dataset, raster, rich_text},
    sample_more,
};
use crate::simulator::package::{Container, Layout, RasterFiles, Recipe, Theme, VectorPlan};

impl World {
    /// The datasets that the simulator serves when nothing else is asked for.
    pub fn sample() -> Self {
        let mut world = Self::default();
        for (path, title) in [
            ("corine-land-cover", "CORINE Land Cover"),
            ("high-resolution-layer-imperviousness", "High Resolution Layer Imperviousness"),
            ("high-resolution-layer-forests-and-tree-cover", "High Resolution Layer Forests and Tree Cover"),
            ("high-resolution-layer-croplands", "High Resolution Layer Croplands"),
            ("clc-backbone", "CLC+ Backbone"),
            ("eu-dem", "EU-DEM"),
            ("urban-atlas", "Urban Atlas"),
            ("vegetation", "Vegetation"),
            ("soil-moisture", "Soil Moisture"),
            ("water-bodies", "Water Bodies"),
            ("global-dynamic-land-cover", "Global Dynamic Land Cover"),
        ] {
            world.family(&format!("en/products/{path}"), title);
        }
        corine(&mut world);
        imperviousness(&mut world);
        sample_more::forests(&mut world);
        sample_more::other_rasters(&mut world);
        sample_more::vectors(&mut world);
        sample_more::oddities(&mut world);
        sample_more::netcdf(&mut world);
        world
    }
}

/// One raster over `metres` metres from an upper left corner in EPSG:3035.
pub(super) fn one(theme: Theme, stem: &str, corner: (f64, f64), metres: f64, layout: Layout) -> Recipe {
    let files = RasterFiles::One { stem: stem.to_owned(), left: corner.0, top: corner.1, metres };
    Recipe::Raster { theme, files, layout }
}

/// Tiles of the EEA grid named `<prefix>E##N##<suffix>`.
pub(super) fn tiled(
    theme: Theme,
    prefix: &str,
    suffix: &str,
    kilometres: u32,
    tiles: &[(u32, u32)],
) -> Recipe {
    let files = RasterFiles::Tiles {
        prefix: prefix.to_owned(),
        suffix: suffix.to_owned(),
        kilometres,
        tiles: tiles.to_vec(),
    };
    Recipe::Raster { theme, files, layout: Layout::Layer }
}

/// What a cut-out can be taken from.
pub(super) fn cut_out(name: &str, collection: &str, format: Value, path: &str) -> Value {
    json!({
        "name": name, "collection": collection, "full_format": format, "full_path": path, "full_source": "EEA",
        "layers": [], "wekeo_choices": "",
    })
}

pub(super) fn eea_record(id: &str) -> Value {
    json!({ "geonetwork_identifiers": { "items": [{ "@id": format!("{id}-0"), "id": id, "type": "EEA" }] } })
}

/// Upper left corner of the European 100 m grid.
pub(super) const EUROPE: (f64, f64) = (4_000_000.0, 3_400_000.0);

fn corine(world: &mut World) {
    let keywords = ["Land cover", "Land use", "CORINE", "Copernicus"];
    let folder = "Corine_Land_Cover\\Corine_Land_Cover\\CLC_2018\\raster";
    let vector = |name: &str, container| {
        Recipe::Vector(VectorPlan {
            name: name.to_owned(),
            container,
            layers: vec![name.to_owned()],
            code_column: "Code_18",
        })
    };
    let clc = |id: &str, name: &str, path: &str, format: &str, kind: &str, size: &str| {
        json!({
            "@id": id, "area": "Europe", "file": name, "format": format, "path": path, "projection": "EPSG:3035",
            "resolution": "100 m", "size": size, "source": "EEA", "title": "", "type": kind, "version": "V2020_20u1",
            "year": "2018",
        })
    };
    let path = |name: &str| format!("H:\\{folder}\\{name}.zip");
    dataset(
        "corine-land-cover/clc2018",
        "CORINE Land Cover 2018 (vector/raster 100 m), Europe, 6-yearly",
        "Provides pan-European CORINE Land Cover inventory for the 2018 reference year, 44 thematic classes",
    )
    .uid("0407d497d3c44bcd93ce8fd5bf78596a")
    .facts("2018", "2018", "100 m", &keywords)
    .fields(eea_record("71c95a07-e296-44fc-b22b-415f42acfdf0"))
    .fields(json!({
        "effective": "2020-05-13T10:00:00+00:00",
        "modified": "2024-06-20T09:30:11+00:00",
        "characteristics_spatial_representation_type": choice("Vector and Grid"),
        "conformitySpecification": rich_text("<p>INSPIRE Data Specification on Land Cover</p>"),
        "qualityLineage": rich_text("<p>Photo-interpretation of satellite images; see the <em>technical guidelines</em>.</p>"),
        "geographicBoundingBox": { "items": [
            { "@id": "clc-box-0", "north": "71.5", "south": "34.5", "west": "-31.5", "east": "45" },
            { "@id": "clc-box-1", "north": "", "south": "", "west": "", "east": "" },
        ] },
        "coordinateReferenceSystemList": ["ETRS89-extended / LAEA Europe (EPSG:3035)"],
    }))
    // Unescaped naively, `\u2018` turns into a quotation mark.
    .package(
        clc("3d9e2413-46ca-4f6e-abf8-b6eb429a4e48", "u2018_clc2018_v2020_20u1_raster100m",
            &path("u2018_clc2018_v2020_20u1_raster100m"), "Geotiff", "Raster", "125.0 MB"),
        one(Theme::ClcSigned, "U2018_CLC2018_V2020_20u1", EUROPE, 300_000.0, Layout::Corine),
    )
    .package(
        clc("3bfb1a41-8b59-425d-b172-bd44517adbca", "u2018_clc2018_v2020_20u1_fgdb",
            &path("u2018_clc2018_v2020_20u1_fgdb"), "GDB", "Vector", "1.9 GB"),
        vector("U2018_CLC2018_V2020_20u1", Container::Geodatabase),
    )
    .package(
        clc("71a52224-0b24-4ecf-804c-a676c0017922", "u2018_clc2018_v2020_20u1_geoPackage",
            &path("u2018_clc2018_v2020_20u1_geoPackage"), "GPKG", "Vector", "3.2 GB"),
        vector("U2018_CLC2018_V2020_20u1", Container::GeoPackage),
    )
    .download(json!({
        "@id": "1bda2fbd-3230-42ba-98cf-69c96ac063bc", "name": "VECTOR", "collection": "100m",
        "full_format": "GDB", "full_path": "H:\\Corine_Land_Cover\\CLC_2018\\U2018_CLC2018_V2020_20u1.gdb",
        "full_source": "EEA", "layers": [], "wekeo_choices": "",
    }))
    .download(json!({
        "@id": "7bcdf9d1-6ba0-4d4e-afa8-01451c7316cb", "name": "RASTER", "collection": "100m",
        "full_format": "Geotiff", "full_path": "H:\\Corine_Land_Cover\\CLC_2018\\U2018_CLC2018_V2020_20u1.tif",
        "full_source": "EEA", "layers": [], "wekeo_choices": "",
    }))
    .add_to(world);

    // 2023 style: the name sits in `area`.
    dataset(
        "corine-land-cover/clc-2006",
        "CORINE Land Cover 2006 (vector/raster 100 m), Europe, 6-yearly",
        "Provides pan-European CORINE Land Cover inventory for the 2006 reference year",
    )
    .uid("d443c86fec2f49e08ff12c7decdbf2af")
    .facts("2006", "2006", "100 m", &keywords)
    .package(
        json!({
            "area": "g100_clc06_V18_5", "format": choice("Geotiff"), "path": "H:\\Corine_Land_Cover\\g100_clc06_V18_5.zip",
            "resolution": "100 m", "size": "", "source": "EEA", "title": "", "type": "Raster", "version": "18_5", "year": 2006,
        }),
        one(Theme::ClcByte, "g100_clc06_V18_5", EUROPE, 300_000.0, Layout::Corine),
    )
    .download(cut_out("RASTER", "100m", json!("Geotiff"), "H:\\Corine_Land_Cover\\CLC_2006\\g100_clc06_V18_5.tif"))
    .add_to(world);

    dataset(
        "corine-land-cover/clc-1990",
        "CORINE Land Cover 1990 (vector/raster 100 m), Europe, 6-yearly",
        "Provides pan-European CORINE Land Cover inventory for the 1990 reference year",
    )
    .uid("8b393c8e474642d5acb4ed70fc2dc024")
    .facts("1986", "1999", "100 m", &keywords)
    .package(
        json!({
            "area": "u2000_clc1990_v2018_20_raster100m", "format": "Geotiff",
            "path": "H:\\Corine_Land_Cover\\raster\\u2000_clc1990_v2018_20_raster100m.zip", "resolution": null,
            "size": null, "source": "EEA", "title": null, "type": null, "version": null, "year": null,
        }),
        one(Theme::ClcCodes, "CLC1990_CLC1990_V2018_20", EUROPE, 300_000.0, Layout::Corine),
    )
    // Two paths glued by a blank, as recorded.
    .download(cut_out("RASTER", "100m", json!("Geotiff"), "H:\\CLC_1990\\U2000_CLC1990.tif H:\\CLC_1990\\DOM.tif"))
    .add_to(world);

    dataset(
        "corine-land-cover/lcc-2012-2018",
        "CORINE Land Cover Change 2012-2018 (vector/raster 100 m), Europe, 6-yearly",
        "Provides pan-European CORINE Land Cover changes between 2012 and 2018",
    )
    .uid("008e882e9759409fa93157ae4687bef8")
    .facts("2012", "2018", "100 m", &keywords)
    .package(
        raster(
            "Corine_Land_Cover\\raster",
            "u2018_cha1218_v2020_20u1_raster100m",
            "Europe",
            "100 m",
            "2012 - 2018",
        ),
        one(Theme::ClcChange, "U2018_CHA1218_V2020_20u1", EUROPE, 300_000.0, Layout::Corine),
    )
    .download(cut_out("RASTER ", "100m – Part 1", json!("Geotiff"), "H:\\CHA\\U2018_CHA1218_12.tif"))
    .download(cut_out("RASTER (Part 2)", "100m – Part 2", json!("Geotiff"), "H:\\CHA\\U2018_CHA1218_18.tif"))
    .add_to(world);
}

fn imperviousness(world: &mut World) {
    let keywords = ["Imperviousness", "Sealing", "Built-up", "Copernicus"];
    let hrl = "High_Resolution_Layers\\Imperviousness\\IMD_2018";
    let country = |code: &str, area: &str| {
        raster(hrl, &format!("IMD_2018_010m_{code}_03035_v020"), area, "10 m", "2018")
    };
    dataset(
        "high-resolution-layer-imperviousness/imperviousness-density-2018",
        "Imperviousness Density 2018 (raster 10 m and 100 m), Europe, 3-yearly",
        "Provides at pan-European level the spatial distribution of artificially sealed areas, as a degree 0-100%",
    )
    .uid("4354f5ba912d4071b3b5f9300104765b")
    .facts("2018", "2018", "10 m", &keywords)
    .fields(eea_record("3bf542bd-eebd-4d73-b53c-a0243f2ed862"))
    .fields(json!({
        "effective": "2020-08-18T12:00:00+00:00", "modified": "2024-01-15T08:00:00+00:00",
        "characteristics_projection": "EPSG:3035 / EPSG:32632 / 32633",
        "characteristics_file_structure": choice("Tiled dataset"),
        "download_limit_temporal_extent": null,
    }))
    // A mosaic of 3 by 3 tiles of 100 km; two of them were never delivered.
    .package(
        country("de", "Germany"),
        tiled(Theme::Imperviousness, "IMD_2018_010m_", "_03035_v020", 100,
            &[(42, 31), (43, 31), (44, 31), (42, 32), (44, 32), (42, 33), (43, 33)]),
    )
    .package(
        country("cz", "Czechia"),
        tiled(Theme::Imperviousness, "IMD_2018_010m_", "_03035_v020", 100, &[(45, 29), (46, 29), (45, 30), (46, 30)]),
    )
    .package(country("mt", "Malta"), tiled(Theme::Imperviousness, "IMD_2018_010m_", "_03035_v020", 100, &[(47, 14)]))
    .package(
        raster(hrl, "IMD_2018_100m_eu_03035_v020", "EEA38+UK", "100 m", "2018"),
        one(Theme::Imperviousness, "IMD_2018_100m_eu_03035_V2_0", EUROPE, 300_000.0, Layout::Layer),
    )
    // Another dataset's package in the wrong list, as recorded.
    .package(
        raster("High_Resolution_Layers\\IBU_2018", "IBU_2018_010m_al_03035_v010", "Albania", "10 m", "2018"),
        one(Theme::Imperviousness, "IBU_2018_010m_al_03035_V1_0", (5_100_000.0, 2_100_000.0), 100_000.0, Layout::Layer),
    )
    .download(cut_out("RASTER ", "10m", json!("Geotiff"), "H:\\HRL\\IMD_2018_010m_eu_03035_v020.tif"))
    .download(cut_out("RASTER ", " 100m", choice("Geotiff"), "H:\\HRL\\IMD_2018_100m_eu_03035_v020.tif"))
    .add_to(world);

    dataset(
        "high-resolution-layer-imperviousness/imperviousness-change-2015-2018",
        "Imperviousness Change 2015-2018 (raster 20 m), Europe, 3-yearly",
        "Provides the change of the degree of imperviousness between 2015 and 2018",
    )
    .uid("4062d6a3814c426b84218d91ecc733ca")
    .facts("2015", "2018", "20 m", &keywords)
    .package(
        raster("HRL\\IMC_1518", "IMC_1518_020m_at_03035_v010", "Austria", "20 m", "2015 - 2018"),
        one(
            Theme::ImperviousnessChange,
            "IMC_1518_020m_at_03035_V1_0",
            (4_500_000.0, 2_800_000.0),
            60_000.0,
            Layout::Layer,
        ),
    )
    .package(
        raster("HRL\\IMC_1518", "IMC_1518_020m_al_03035_v010", "Albania", "20 m", "2015 - 2018"),
        one(
            Theme::ImperviousnessChange,
            "IMC_1518_020m_al_03035_V1_0",
            (5_100_000.0, 2_100_000.0),
            60_000.0,
            Layout::Layer,
        ),
    )
    .download(cut_out("RASTER ", "20m", json!("Geotiff"), "H:\\HRL\\IMC_1518_020m_eu_03035_v010.tif"))
    .add_to(world);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::super::{items, word};
    use super::*;

    #[test]
    fn the_world_is_large_enough_and_its_ids_are_unique() {
        let world = World::sample();
        assert!(world.len() >= 14, "{} datasets", world.len());
        let mut ids = HashSet::new();
        for index in 0..world.len() {
            let dataset = world.dataset(index);
            assert_eq!(dataset.uid.len(), 32);
            assert!(ids.insert(dataset.uid.clone()));
            for item in items(&dataset, "downloadable_files")
                .iter()
                .chain(items(&dataset, "dataset_download_information"))
            {
                assert!(ids.insert(word(item.get("@id")).unwrap()), "{item}");
            }
        }
    }

    #[test]
    fn the_quirks_are_there() {
        let world = World::sample();
        let all: Vec<_> = (0..world.len()).map(|index| world.dataset(index).into_owned()).collect();
        assert!(all.iter().any(|dataset| dataset.path.ends_with("-v1.1")));
        assert!(all.iter().any(|dataset| dataset.path.contains("slope_of")));
        assert!(all.iter().any(|dataset| dataset.private));
        let files: Vec<_> = all.iter().flat_map(|dataset| items(dataset, "downloadable_files")).collect();
        assert!(
            files
                .iter()
                .any(|item| word(item.get("path")).is_some_and(|path| path.contains("\\u2018_clc2018")))
        );
        assert!(files.iter().any(|item| word(item.get("file")).is_some_and(|file| file.starts_with(' '))));
        assert!(files.iter().any(|item| item["path"] == ""));
        let information = all.iter().flat_map(|dataset| items(dataset, "dataset_download_information"));
        let formats: HashSet<_> = information.map(|item| item["full_format"].to_string()).collect();
        assert!(formats.contains("null") && formats.iter().any(|format| format.starts_with('{')));
    }
}
