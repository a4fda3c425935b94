//! The checks of a cut-out, numbers 6 to 28 of CLMS-API section 3.1.

use serde_json::{Map, Value, json};

use super::{
    Refusal, area, country, file_structure,
    format::{FORMATS, converts},
    is_empty,
    period::Period,
    projections,
};
use crate::simulator::{
    base64,
    world::{self, Dataset},
};

/// A cut-out that was ordered.
#[derive(Debug, Clone)]
pub(crate) struct CutOut {
    /// What the task stores.
    pub(crate) stored: Value,
    pub(crate) source: String,
    /// Water Bodies asked for as NetCDF: refused after all items were looked at.
    pub(crate) netcdf_refused: bool,
}

const CHECK_DOCUMENTATION: &str = "Please check the download documentation to get more information";

/// Checks one item of a dataset.
pub(crate) fn check(dataset: &Dataset, item: &Value) -> Result<CutOut, Refusal> {
    let mut stored = Map::new();
    let mut store = |name: &str, value: Value| stored.insert(name.to_owned(), value);
    store("DatasetID", json!(dataset.uid));
    store("DatasetTitle", json!(dataset.title));
    store("FileStructure", file_structure(dataset));
    if let Some(code) = country::check(item)? {
        store("NUTSID", json!(code));
        store("NUTSName", json!(country::name(code)));
    }
    if let Some(corners) = area::check(item)? {
        store("BoundingBox", corners);
    }
    // An untouched object allows 30 days.
    let limit = dataset.fields.get("download_limit_temporal_extent").map_or(Some(30), Value::as_i64);
    let period = item.get("TemporalFilter").map(|filter| Period::check(filter, limit)).transpose()?;
    if let Some(period) = period {
        store("TemporalFilter", period.stored());
    }
    match item.get("OutputGCS") {
        None => return Err(Refusal::say("The OutputGCS parameter is mandatory.")),
        Some(projection) if is_empty(projection) => {}
        Some(projection) => {
            if !projections(Some(dataset)).iter().any(|known| projection == known.as_str()) {
                return Err(Refusal::say("Error, defined GCS not in the list"));
            }
            store("OutputGCS", projection.clone());
        }
    }
    let id = item
        .get("DatasetDownloadInformationID")
        .ok_or_else(|| Refusal::say("Error, DatasetDownloadInformationID is not defined."))?;
    let not_downloadable = || Refusal::say("Error, this dataset is not downloadable");
    let information = world::items(dataset, "dataset_download_information")
        .iter()
        .find(|information| information.get("@id") == Some(id))
        .ok_or_else(not_downloadable)?;
    let text = |name: &str| world::word(information.get(name)).unwrap_or_default();
    let format =
        Some(text("full_format")).filter(|format| !format.is_empty()).ok_or_else(not_downloadable)?;
    let output = item.get("OutputFormat").and_then(Value::as_str).unwrap_or_default();
    if !FORMATS.contains(&output) {
        return Err(Refusal::say("Error, the specified output format is not valid"));
    }
    if !converts(&format, output) {
        return Err(Refusal::say("Error, specified formats are not compatible"));
    }
    let source = text("full_source");
    if source.is_empty() {
        return Err(Refusal::say("Error, the dataset source is not valid"));
    }
    let path = text("full_path");
    if path.is_empty() && source != "CDSE" {
        return Err(not_downloadable());
    }
    store("DatasetFormat", json!(format));
    store("OutputFormat", json!(output));
    store("DatasetPath", json!(base64::url_safe(path.as_bytes())));
    store("DatasetSource", json!(source));
    store("WekeoChoices", json!(text("wekeo_choices")));
    store("Metadata", json!(metadata_links(dataset)));
    if let Some(layer) = layer(information, item)? {
        store("Layer", layer);
    }
    check_series(dataset, limit, period)?;
    check_extent(item, &source)?;
    let netcdf_refused = output == "Netcdf" && dataset.path.contains("/water-bodies/");
    Ok(CutOut { stored: Value::Object(stored), source, netcdf_refused })
}

/// The layer to store. Without one the server means all, but does not store that.
fn layer(information: &Value, item: &Value) -> Result<Option<Value>, Refusal> {
    let known = information.get("layers").and_then(Value::as_array).filter(|layers| !layers.is_empty());
    match (known, item.get("Layer").filter(|layer| !is_empty(layer))) {
        (Some(known), Some(layer)) if known.contains(layer) => Ok(Some(layer.clone())),
        (Some(_), Some(_)) => Err(Refusal::say("Error, the requested band/layer is not valid")),
        (_, _) => Ok(None),
    }
}

fn check_series(dataset: &Dataset, limit: Option<i64>, period: Option<Period>) -> Result<(), Refusal> {
    if dataset.fields.get("mapviewer_istimeseries").and_then(Value::as_bool) != Some(true) {
        return Ok(());
    }
    let Some(period) = period else {
        return Err(Refusal::Message(format!(
            "You are requesting to download a time series enabled dataset and you are required to request the \
             download of an specific date range. {CHECK_DOCUMENTATION}"
        )));
    };
    match limit {
        Some(limit) if period.days() > limit => Err(Refusal::Message(format!(
            "You are requesting to download a time series enabled dataset and the requested date range is bigger \
             than the allowed range of {limit} days. {CHECK_DOCUMENTATION}"
        ))),
        _ => Ok(()),
    }
}

/// An area key must be there, even if its value is empty.
fn check_extent(item: &Value, source: &str) -> Result<(), Refusal> {
    let has = |name: &str| item.get(name).is_some();
    if has("NUTS") || has("BoundingBox") {
        return Ok(());
    }
    match (has("TemporalFilter"), source) {
        (true, "EEA") => Ok(()),
        (true, _) => Err(Refusal::say(
            "You have to select a specific area of interest. In case you want to download the full dataset, please use the Auxiliary API.",
        )),
        (false, "EEA") => Err(Refusal::say(
            "To download the full dataset, please download it through the corresponding pre-packaged data collection",
        )),
        (false, _) => Err(Refusal::say(
            "You are requesting to download the full dataset but this dataset is not an EEA dataset and thus you need to query an specific endpoint to request its download. Please check the API documentation to get more information about this specific endpoint.",
        )),
    }
}

fn metadata_links(dataset: &Dataset) -> Vec<String> {
    world::items(dataset, "geonetwork_identifiers")
        .iter()
        .filter_map(|record| {
            let id = record.get("id")?.as_str()?;
            Some(match record.get("type").and_then(Value::as_str) {
                Some("EEA") => {
                    format!("https://sdi.eea.europa.eu/catalogue/copernicus/api/records/{id}/formatters/xml?approved=true")
                }
                Some("VITO") => {
                    format!("https://globalland.vito.be/geonetwork/srv/api/records/{id}/formatters/xml?approved=true")
                }
                _ => id.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::simulator::World;

    fn message(change: impl FnOnce(&mut Value)) -> String {
        let world = World::sample();
        let dataset = world.by_uid("0407d497d3c44bcd93ce8fd5bf78596a").unwrap();
        let mut item = json!({
            "DatasetDownloadInformationID": "7bcdf9d1-6ba0-4d4e-afa8-01451c7316cb", "OutputFormat": "Geotiff",
            "OutputGCS": "EPSG:3035", "BoundingBox": [2.35, 46.85, 4.63, 45.88],
        });
        change(&mut item);
        match check(&dataset, &item) {
            Ok(_) => "ok".to_owned(),
            Err(Refusal::Message(message) | Refusal::Crash(message, _)) => message,
        }
    }

    fn without(name: &'static str) -> impl FnOnce(&mut Value) {
        move |item| {
            item.as_object_mut().unwrap().remove(name);
        }
    }

    #[test]
    fn an_early_mistake_hides_a_later_one() {
        assert_eq!(message(|_| {}), "ok");
        type Change = fn(&mut Value);
        // Each change adds a mistake that is checked before the last one.
        let steps: [(Change, &str); 6] = [
            (
                |item| drop(item.as_object_mut().unwrap().remove("BoundingBox")),
                "To download the full dataset",
            ),
            (|item| item["OutputFormat"] = json!("GPKG"), "not compatible"),
            (|item| item["OutputFormat"] = json!("GeoTIFF"), "output format is not valid"),
            (|item| item["DatasetDownloadInformationID"] = json!("x"), "not downloadable"),
            (|item| item["OutputGCS"] = json!("EPSG:32632"), "GCS not in the list"),
            (|item| item["NUTS"] = json!("QQ"), "NUTS country error"),
        ];
        for count in 1..=steps.len() {
            let message = message(|item| steps[..count].iter().for_each(|(change, _)| change(item)));
            assert!(message.contains(steps[count - 1].1), "{message}");
        }
    }

    #[test]
    fn keys_that_must_be_there_and_keys_that_may_be_empty() {
        assert_eq!(message(without("OutputGCS")), "The OutputGCS parameter is mandatory.");
        assert!(message(without("DatasetDownloadInformationID")).contains("is not defined."));
        assert_eq!(message(|item| item["OutputGCS"] = json!("")), "ok");
        assert_eq!(message(|item| item["BoundingBox"] = json!([])), "ok");
    }
}
