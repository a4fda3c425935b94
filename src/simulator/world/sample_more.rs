//! The sample world beyond CORINE and imperviousness.

use serde_json::json;

use super::{
    World,
    builder::{choice, dataset, raster},
    sample::{EUROPE, cut_out, eea_record, one, tiled},
};
use crate::simulator::package::{Container, Layout, RasterFiles, Recipe, Theme, VectorPlan};

pub(super) fn forests(world: &mut World) {
    let family = "high-resolution-layer-forests-and-tree-cover";
    dataset(
        &format!("{family}/tree-cover-density-2018"),
        "Tree Cover Density 2018 (raster 10 m and 100 m), Europe, 3-yearly",
        "Provides at pan-European level the level of tree cover density in a range from 0% to 100%",
    )
    .facts("2018", "2018", "10 m", &["Tree cover", "Forest", "Copernicus"])
    .fields(eea_record("c7bf34ea-755c-4dbd-85b6-4efc5fbd302b"))
    .package(
        raster("HRL\\TCD_2018", "TCD_2018_010m_fr_03035_v020", "France", "10 m", "2018"),
        one(
            Theme::TreeCover,
            "TCD_2018_010m_fr_03035_V2_0",
            (3_700_000.0, 2_900_000.0),
            100_000.0,
            Layout::Layer,
        ),
    )
    .package(
        raster("HRL\\TCD_2018", "TCD_2018_100m_eu_03035_v020", "EEA38+UK", "100 m", "2018"),
        one(Theme::TreeCover, "TCD_2018_100m_eu_03035_V2_0", EUROPE, 300_000.0, Layout::Layer),
    )
    .download(cut_out("RASTER", "10m", json!("Geotiff"), "H:\\HRL\\TCD_2018_010m_eu_03035_v020.tif"))
    .add_to(world);

    let tile = |name: &str, corner| {
        (
            raster("HRL\\FTY_2015", name, &name[name.len() - 6..], "20 m", "2015"),
            one(Theme::ForestType, name, corner, 1_000_000.0, Layout::Layer),
        )
    };
    let (west, west_recipe) = tile("FTY_2015_020m_eu_03035_d04_E30N20", (3_000_000.0, 3_000_000.0));
    let (east, east_recipe) = tile("FTY_2015_020m_eu_03035_d04_E40N20", (4_000_000.0, 3_000_000.0));
    dataset(
        &format!("{family}/forest-type-2015"),
        "Forest Type 2015 (raster 20 m), Europe, 3-yearly",
        "Provides a forest classification with three thematic classes",
    )
    .facts("2015", "2015", "20 m", &["Forest type", "Copernicus"])
    .package(west, west_recipe)
    .package(east, east_recipe)
    .download(cut_out("RASTER", "20m", choice("Geotiff"), "H:\\HRL\\FTY_2015_020m_eu_03035_d04_Full.tif"))
    .add_to(world);
}

pub(super) fn other_rasters(world: &mut World) {
    dataset(
        "clc-backbone/clc-backbone-2021",
        "CLC+ Backbone 2021 (raster 10 m), Europe, 3-yearly",
        "Provides a detailed pan-European land cover inventory with 11 basic classes",
    )
    .uid("4d0d78ad472c45819aff1d9fa7af0461")
    .facts("2021", "2021", "10 m", &["Land cover", "CLC+", "Copernicus"])
    .package(
        raster("CLCplus", "CLMS_CLCplus_RASTER_2021", "Europe", "10 m", "2021"),
        one(Theme::Backbone, "CLMS_CLCplus_RASTER_2021_010m_eu_03035_V1_1", EUROPE, 30_000.0, Layout::Nested),
    )
    .download(json!({
        "@id": "b9461c94-2e4e-4058-81c4-b274c0e8b12b", "name": "RASTER", "full_format": "Geotiff",
        "full_path": "H:\\CLCplus\\CLMS_CLCplus_RASTER_2021_010m_eu_03035_V1_1.tif", "full_source": choice("EEA"),
    }))
    .add_to(world);

    // An id with a dot; 1000 km tiles with an upper-case ending.
    dataset(
        "eu-dem/eu-dem-v1.1",
        "EU-DEM v1.1 (raster 25 m), Europe",
        "Provides a digital surface model of the EEA39 countries",
    )
    .facts("2011", "2011", "25 m", &["Elevation", "DEM", "Copernicus"])
    .fields(json!({ "geonetwork_identifiers": { "items": [
        { "@id": "dem-0", "id": "https://land.copernicus.eu/metadata/eu-dem.xml", "type": "URL" }] } }))
    .package(
        raster("EU-DEM", "eu_dem_v11_E40N20", "E40N20", "25 m", "2011"),
        tiled(Theme::Elevation, "eu_dem_v11_", "", 1000, &[(40, 20)]),
    )
    .package(
        raster("EU-DEM", "eu_dem_v11_E30N20_E40N20", "E30N20, E40N20", "25 m", "2011"),
        tiled(Theme::Elevation, "eu_dem_v11_", "", 1000, &[(30, 20), (40, 20)]),
    )
    .add_to(world);

    // Names in `title`.
    let height = |name: &str| {
        json!({
            "title": name, "area": "", "format": "Geotiff", "path": format!("H:\\Urban_Atlas\\BBH\\{name}.zip"),
            "resolution": "10 m", "size": "12 MB", "source": "EEA", "type": "Raster", "version": "", "year": "2012",
        })
    };
    dataset(
        "urban-atlas/building-height-2012",
        "Building Height 2012 (raster 10 m), selected cities, Europe",
        "Provides building heights for core urban areas of capitals",
    )
    .facts("2012", "2012", "10 m", &["Building height", "Urban", "Copernicus"])
    .package(
        height("EE001_TALLINN_UA2012_DHM_v020"),
        one(
            Theme::BuildingHeight,
            "EE001_TALLINN_UA2012_DHM_V020",
            (5_160_000.0, 4_130_000.0),
            20_000.0,
            Layout::Layer,
        ),
    )
    .package(
        height("AT001_WIEN_UA2012_DHM_v020"),
        one(
            Theme::BuildingHeight,
            "AT001_WIEN_UA2012_DHM_V020",
            (4_780_000.0, 2_820_000.0),
            20_000.0,
            Layout::Layer,
        ),
    )
    .add_to(world);

    let crops = |year: &str| format!("CLMS_HRLVLCC_CTY_S{year}_R10m_E44N29_03035_V01_R00");
    let (first, second) = (crops("2020"), crops("2021"));
    let crop_tile =
        |stem: &str| one(Theme::CropTypes, stem, (4_400_000.0, 3_000_000.0), 100_000.0, Layout::Layer);
    dataset(
        "high-resolution-layer-croplands/crop-types",
        "Crop Types 2017-present (raster 10 m), Europe, yearly",
        "Provides the main crop of every agricultural parcel with 17 crop classes",
    )
    .uid("0d4d0d517b824d22857e43c4ea6073c9")
    .facts("2017", "present", "10 m", &["Crop types", "Agriculture", "Copernicus"])
    .fields(json!({ "mapviewer_istimeseries": true, "download_limit_temporal_extent": 366 }))
    .package(raster("VLCC\\CTY", &first, "E44N29", "10 m", "2020"), crop_tile(&first))
    .package(raster("VLCC\\CTY", &second, "E44N29", "10 m", "2021"), crop_tile(&second))
    .download(json!({
        "@id": "869dd60b-1cd7-414b-8281-4f5e4eaea8f1", "name": "RASTER", "collection": "10m",
        "full_format": "Geotiff", "full_path": "H:\\VLCC\\CTY", "full_source": "EEA",
        "layers": ["Crop Types", "Confidence Layer"], "wekeo_choices": "",
    }))
    .add_to(world);
}

pub(super) fn vectors(world: &mut World) {
    let atlas = |name: &str| {
        Recipe::Vector(VectorPlan {
            name: name.to_owned(),
            container: Container::GeoPackage,
            layers: ["_UA2018", "_UA2018_Boundary", "_UA2018_UrbanCore"]
                .map(|layer| format!("{}{layer}", name.split("_UA2018").next().unwrap_or(name)))
                .to_vec(),
            code_column: "code_2018",
        })
    };
    let city = |name: &str| {
        json!({
            "file": name, "area": "", "format": "GPKG", "path": format!("H:\\Urban_Atlas\\UA_2018\\{name}.zip"),
            "resolution": "", "size": "25.0 MB", "source": "EEA", "title": "", "type": "Vector", "version": "v013",
            "year": "2018",
        })
    };
    dataset(
        "urban-atlas/urban-atlas-2018",
        "Urban Atlas Land Cover/Land Use 2018 (vector), Europe, 6-yearly",
        "Provides comparable land cover and land use data for Functional Urban Areas",
    )
    .facts("2018", "2018", "MMU 0.25 ha", &["Urban", "Land use", "Copernicus"])
    .fields(json!({ "characteristics_spatial_representation_type": choice("Vector") }))
    .package(city("DE008L2_LEIPZIG_UA2018_v013"), atlas("DE008L2_LEIPZIG_UA2018_v013"))
    .package(city("FI001L3_HELSINKI_UA2018_v013"), atlas("FI001L3_HELSINKI_UA2018_v013"))
    // Nothing but a path.
    .package(
        json!({ "path": "H:\\Urban_Atlas\\UA_2018\\EE003L1_NARVA_UA2018_v013.zip", "source": "EEA", "format": "GPKG" }),
        atlas("EE003L1_NARVA_UA2018_v013"),
    )
    .download(cut_out("VECTOR", "", choice("GPKG"), "H:\\Urban_Atlas\\UA_2018\\UA_2018.gdb"))
    .add_to(world);
    woody_features(world);
}

/// Shapefiles: the oldest of the vector formats.
fn woody_features(world: &mut World) {
    let part = |number: u32| {
        let name = format!("swf_2015_vec_FR_3035_123_pt{number:02}");
        let record = json!({
            "area": "France", "file": name, "format": "Shapefile", "path": format!("H:\\HRL\\SWF_2015\\{name}.zip"),
            "resolution": "5 m", "size": "", "source": "EEA", "title": "", "type": "Vector", "version": "v1.2",
            "year": "2015",
        });
        let recipe = Recipe::Vector(VectorPlan {
            layers: vec![name.clone()],
            name,
            container: Container::Shapefile,
            code_column: "code",
        });
        (record, recipe)
    };
    let ((first, first_recipe), (second, second_recipe)) = (part(1), part(2));
    dataset(
        "high-resolution-layer-small-woody-features/small-woody-features-2015",
        "Small Woody Features 2015 (vector), Europe, 3-yearly",
        "Provides linear hedgerows and scrubs, and isolated or scattered patches of woody features",
    )
    .facts("2015", "2015", "5 m", &["Hedgerows", "Woody vegetation", "Copernicus"])
    .fields(json!({ "characteristics_spatial_representation_type": choice("Vector") }))
    .package(first, first_recipe)
    .package(second, second_recipe)
    .add_to(world);
}

/// Several dates in one package.
pub(super) fn netcdf(world: &mut World) {
    let january = "SSM1km_CEURO_202101";
    dataset(
        "soil-moisture/surface-soil-moisture-2021",
        "Surface Soil Moisture January 2021 (netCDF 1 km), Europe, daily",
        "Provides daily surface soil moisture over Central Europe at 1 km, a netCDF file for each day",
    )
    .facts("2021", "2021", "1 km", &["Soil moisture", "Hydrology", "Copernicus"])
    .fields(json!({ "characteristics_projection": "EPSG:4326" }))
    .package(
        json!({
            "area": "Europe", "file": january, "format": "Netcdf", "path": format!("H:\\SSM\\{january}.zip"),
            "resolution": "1 km", "size": "", "source": "EEA", "title": "", "type": "Raster", "version": "V1.1.1",
            "year": "2021",
        }),
        Recipe::SoilMoisture { dates: vec![("20210101", 18_628.0), ("20210107", 18_634.0), ("20210113", 18_640.0)] },
    )
    .add_to(world);
}

pub(super) fn oddities(world: &mut World) {
    // Names with blanks, parentheses, dots and a leading blank; two alike in one dataset; an id with underscores.
    let season = |name: &str| {
        json!({
            "file": name, "area": "Global", "format": "Geotiff", "path": format!("H:\\LSP\\{}.zip", name.trim()),
            "resolution": "300 m", "size": "", "source": "EEA", "title": "", "type": "Raster", "version": "1.0.1",
            "year": "2023",
        })
    };
    let globe = |stem: &str| Recipe::Raster {
        theme: Theme::Phenology,
        files: RasterFiles::Globe { stem: stem.to_owned() },
        layout: Layout::Flat,
    };
    let (first, second) = (
        "c_gls_LSP300-LSLOPE-S1_202301010000_GLOBE_OLCI_V1.0.1",
        "c_gls_LSP300-LSLOPE-S2_202301010000_GLOBE_OLCI_V1.0.1",
    );
    dataset(
        "vegetation/slope_of_green-up-period-2023-raster-300m-global-yearly-version-1",
        "Slope of the Green-up Period 2023 (raster 300 m), global, yearly – version 1",
        "Provides the rate of change of the vegetation index between start and maximum of the season",
    )
    .facts("2023", "2023", "300 m", &["Vegetation", "Phenology"])
    .fields(json!({
        "geographicBoundingBox": { "items": [{ "@id": "box", "north": "80", "south": "-60", "west": "-180", "east": "180" }] },
        "coordinateReferenceSystemList": ["http://www.opengis.net/def/crs/EPSG/0/4326"],
        "characteristics_projection": "EPSG:4326",
    }))
    .package(season(&format!("(SEASON 1) {first}.tiff")), globe(first))
    .package(season(&format!(" (SEASON 2) {second}.tiff")), globe(second))
    .package(season(&format!("(SEASON 1) {first}.tiff")), globe(first))
    .download(json!({
        "@id": "1c7acc95-02e5-4503-82fc-966a6dd225dd", "name": "RASTER", "collection": "300m",
        "full_format": null, "full_path": "", "full_source": null,
    }))
    .add_to(world);

    // Only a placeholder: nothing of it can be ordered.
    dataset(
        "soil-moisture/daily-surface-soil-moisture-v1.0",
        "Surface Soil Moisture 2014-present (raster 1 km), Europe, daily – version 1",
        "Provides daily surface soil moisture over Europe at 1 km",
    )
    .facts("2014", "present", "1 km", &["Soil moisture"])
    .fields(json!({ "downloadable_full_dataset": false, "keywords": null, "temporalExtentEnd": "" }))
    .placeholder()
    .download(json!({
        "name": "RASTER", "full_format": "Netcdf", "full_path": "https://globalland.vito.be/manifest_ssm.txt",
        "full_source": "LEGACY", "layers": ["ssm", "ssm_noise"], "wekeo_choices": "",
    }))
    .add_to(world);

    dataset(
        "water-bodies/water-bodies-global-v2-0-300m",
        "Water Bodies 2020-present (raster 300 m), global, monthly – version 2",
        "Provides the extent of water bodies, monthly",
    )
    .uid("0517fd1b7d944d8197a2eb5c13470db8")
    .facts("2020", "present", "300 m", &["Water"])
    .fields(json!({
        "mapviewer_istimeseries": true, "download_limit_temporal_extent": 365,
        "geonetwork_identifiers": { "items": [{ "@id": "wb", "id": "clms_global_wb_300m_v2_monthly", "type": "VITO" }] },
    }))
    .placeholder()
    .download(json!({
        "name": "RASTER", "collection": "300m", "full_format": choice("Netcdf"), "full_path": "wb300",
        "full_source": choice("LEGACY"), "layers": [], "wekeo_choices": "",
    }))
    .add_to(world);

    dataset(
        "global-dynamic-land-cover/copernicus-global-land-service-land-cover-100m-collection-2-epoch-2015-globe",
        "DEPRECATED - Land Cover 100m: collection 2: epoch 2015: Globe",
        "",
    )
    .uid("10080477095e422692a0a11bc4c6810e")
    .private()
    .placeholder()
    .add_to(world);
}
