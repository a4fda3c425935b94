//! `@datarequest_post`: the checks of the recorded server in its order, as pure functions.

mod area;
mod country;
mod cutout;
mod format;
mod period;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    base64, text,
    world::{self, Dataset, Package, World},
};

pub(crate) use country::name as nuts_name;
pub(crate) use cutout::CutOut;
pub(crate) use format::table as format_table;

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400 with this message.
    Message(String),
    /// The code fell over: 500 with message and type.
    Crash(String, &'static str),
}

impl Refusal {
    fn say(message: &str) -> Self {
        Self::Message(message.to_owned())
    }
}

/// A package that was ordered.
#[derive(Debug, Clone)]
pub(crate) struct OrderedPackage {
    pub(crate) package: Package,
    /// What the task stores.
    pub(crate) stored: Value,
}

/// What one POST orders.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) packages: Vec<OrderedPackage>,
    pub(crate) cut_outs: Vec<CutOut>,
    /// Number of CDSE items, which go to a queue of their own and make no task here.
    cdse: Vec<Value>,
}

/// The JSON body of a request, as the server reads it: nothing is an empty object.
pub(crate) fn body(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err(Refusal::Crash("'Malformed body'".to_owned(), "DeserializationError")),
        Err(_) => Err(Refusal::Crash("'No JSON object could be decoded'".to_owned(), "DeserializationError")),
    }
}

/// Checks a body against the catalogue and against what the user has open.
pub(crate) fn check(world: &World, bytes: &[u8], open: Vec<Value>) -> Result<Order, Refusal> {
    let body = body(bytes)?;
    let mut order = Order::default();
    let mut netcdf_refused = Vec::new();
    for item in listed(body.get("Datasets").unwrap_or(&Value::Null))? {
        check_item(world, &item, &mut order, &mut netcdf_refused)?;
    }
    if !netcdf_refused.is_empty() {
        return Err(Refusal::Message(format!(
            "Please choose the Geotiff format as the NetCDF format is not allowed for the dataset(s) {}",
            netcdf_refused.join(", ")
        )));
    }
    if order.cut_outs.len() + order.cdse.len() > 5 {
        return Err(Refusal::say(
            "The download queue can only process 5 items at a time. Please try again with fewer items.",
        ));
    }
    let compared = order.cut_outs.iter().map(|item| &item.stored).chain(&order.cdse).chain(&open);
    let mut seen = HashSet::new();
    // New packages are not compared: this is how two equal open ones come to be, which then block everything.
    if !compared.map(text::one_line).all(|stored| seen.insert(stored)) {
        return Err(Refusal::say(
            "You have requested to download the same thing at least twice. Please check your download cart and remove any duplicates.",
        ));
    }
    Ok(order)
}

/// What Python's `for` finds in `Datasets`: the keys of an object, the letters of a text.
fn listed(datasets: &Value) -> Result<Vec<Value>, Refusal> {
    let not_iterable = |kind: &str| Refusal::Crash(format!("'{kind}' object is not iterable"), "TypeError");
    match datasets {
        Value::Array(items) => Ok(items.clone()),
        Value::Object(map) => Ok(map.keys().map(|key| json!(key)).collect()),
        Value::String(text) => Ok(text.chars().map(|letter| json!(letter.to_string())).collect()),
        Value::Null => Err(not_iterable("NoneType")),
        Value::Bool(_) => Err(not_iterable("bool")),
        Value::Number(number) => Err(not_iterable(if number.is_f64() { "float" } else { "int" })),
    }
}

fn check_item(
    world: &World,
    item: &Value,
    order: &mut Order,
    netcdf_refused: &mut Vec<String>,
) -> Result<(), Refusal> {
    let undefined = || Refusal::say("Error, DatasetID is not defined");
    match item {
        Value::Object(_) => {}
        Value::String(text) if text.contains("DatasetID") => {
            return Err(Refusal::Crash("'str' object has no attribute 'get'".to_owned(), "AttributeError"));
        }
        Value::String(_) | Value::Array(_) => return Err(undefined()),
        _ => return Err(Refusal::Crash("argument of this type is not iterable".to_owned(), "TypeError")),
    }
    let dataset = match item.get("DatasetID") {
        None | Some(Value::Null) => return Err(undefined()),
        Some(Value::String(uid)) if uid.is_empty() => return Err(undefined()),
        Some(uid) => uid
            .as_str()
            .and_then(|uid| world.by_uid(uid))
            .ok_or_else(|| Refusal::say("Error, the DatasetID is not valid"))?,
    };
    if let Some(file_id) = item.get("FileID") {
        if !is_empty(file_id) {
            let package = file_id.as_str().and_then(|id| world.package(&dataset, id));
            let package = package.ok_or_else(|| Refusal::say("Error, the FileID is not valid"))?;
            let stored = stored_package(&dataset, file_id, &package);
            order.packages.push(OrderedPackage { package, stored });
        }
        return Ok(());
    }
    let cut_out = cutout::check(&dataset, item)?;
    if cut_out.netcdf_refused {
        netcdf_refused.push(dataset.uid.clone());
    }
    if cut_out.source == "CDSE" {
        order.cdse.push(cut_out.stored)
    } else {
        order.cut_outs.push(cut_out)
    }
    Ok(())
}

fn stored_package(dataset: &Dataset, file_id: &Value, package: &Package) -> Value {
    json!({
        "DatasetID": dataset.uid, "DatasetPath": "", "DatasetSource": package.source,
        "DatasetTitle": dataset.title, "FileID": file_id, "FilePath": base64::url_safe(package.path.as_bytes()),
        "FileStructure": file_structure(dataset),
    })
}

fn file_structure(dataset: &Dataset) -> Value {
    let field = dataset.fields.get("characteristics_file_structure");
    if field.is_some_and(Value::is_null) {
        return Value::Null;
    }
    json!(world::word(field).unwrap_or_else(|| "Full dataset".to_owned()))
}

/// Falsy in Python.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

/// `@projections`: the four that every dataset has, and the UTM zones that its projection text lists.
pub(crate) fn projections(dataset: Option<&Dataset>) -> Vec<String> {
    let mut list: Vec<String> = ["4326", "3035", "3857", "4258"].map(|code| format!("EPSG:{code}")).to_vec();
    let text =
        dataset.and_then(|dataset| dataset.fields.get("characteristics_projection")).and_then(Value::as_str);
    if let Some(text) = text.filter(|text| text.contains('/')) {
        for part in text.split('/') {
            let digits: String = part.chars().filter(char::is_ascii_digit).collect();
            let code = digits.parse().unwrap_or(0_u32);
            if matches!(code, 2740 | 32620 | 32622 | 32625..=32638 | 32738 | 32740) {
                list.push(format!("EPSG:{code}"));
            }
        }
    }
    list
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CLC: &str = "0407d497d3c44bcd93ce8fd5bf78596a";
    const PACKAGE: &str = "3d9e2413-46ca-4f6e-abf8-b6eb429a4e48";

    fn post(datasets: Value, open: Vec<Value>) -> Result<Order, Refusal> {
        check(&World::sample(), json!({ "Datasets": datasets }).to_string().as_bytes(), open)
    }

    fn message(datasets: Value) -> String {
        match post(datasets, Vec::new()).unwrap_err() {
            Refusal::Message(message) | Refusal::Crash(message, _) => message,
        }
    }

    #[test]
    fn bodies_that_are_not_objects() {
        let world = World::sample();
        for (bytes, kind) in [
            (&b"{\"Datasets\": ["[..], "DeserializationError"),
            (b"[1]", "DeserializationError"),
            (b"{}", "TypeError"),
            (b"", "TypeError"),
            (b"{\"Datasets\": {\"DatasetID\": 1}}", "AttributeError"),
        ] {
            match check(&world, bytes, Vec::new()) {
                Err(Refusal::Crash(_, found)) => assert_eq!(found, kind),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(message(json!(["x"])), "Error, DatasetID is not defined");
    }

    #[test]
    fn a_package_and_what_is_ignored() {
        let order =
            post(json!([{ "DatasetID": CLC, "FileID": PACKAGE, "OutputFormat": "Nonsense" }]), Vec::new())
                .unwrap();
        assert_eq!(order.packages[0].package.name, "u2018_clc2018_v2020_20u1_raster100m");
        assert!(post(json!([{ "DatasetID": CLC, "FileID": null }]), Vec::new()).unwrap().packages.is_empty());
        assert_eq!(message(json!([{ "DatasetID": CLC, "FileID": "no" }])), "Error, the FileID is not valid");
        assert_eq!(message(json!([{ "DatasetID": 1 }])), "Error, the DatasetID is not valid");
    }

    #[test]
    fn a_placeholder_and_a_private_dataset_cannot_be_ordered() {
        let world = World::sample();
        let moisture = (0..world.len())
            .map(|index| world.dataset(index))
            .find(|dataset| dataset.path.ends_with("soil-moisture-v1.0"))
            .unwrap();
        let id = &world::items(&moisture, "downloadable_files")[0]["@id"];
        assert_eq!(
            message(json!([{ "DatasetID": moisture.uid, "FileID": id }])),
            "Error, the FileID is not valid"
        );
        assert_eq!(
            message(json!([{ "DatasetID": "10080477095e422692a0a11bc4c6810e", "FileID": "x" }])),
            "Error, the DatasetID is not valid"
        );
    }

    #[test]
    fn two_equal_open_packages_poison_every_order() {
        let package = json!([{ "DatasetID": CLC, "FileID": PACKAGE }]);
        let stored = post(package.clone(), Vec::new()).unwrap().packages[0].stored.clone();
        assert!(post(package.clone(), vec![stored.clone()]).is_ok());
        assert!(matches!(post(package, vec![stored.clone(), stored]), Err(Refusal::Message(_))));
    }
}
