//! Datasets as JSON objects: in full, as a search summary, with catalogue metadata.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Dataset, World, last_part, parent};

/// Every field of a new dataset with the value that an untouched field has on the wire (recorded).
static TEMPLATE: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("object_template.json")).expect("the template is part of the source")
});

const COMPONENTS: [&str; 9] = [
    "actions",
    "aliases",
    "breadcrumbs",
    "contextnavigation",
    "navigation",
    "navroot",
    "translations",
    "types",
    "workflow",
];

/// The full object below the base URL, as `GET <path>` and `fullobjects` give it.
pub(crate) fn full(world: &World, dataset: &Dataset, base: &str) -> Value {
    let id = format!("{base}/{}", dataset.path);
    let family = parent(&dataset.path);
    let mut object = TEMPLATE.clone();
    object.extend(dataset.fields.clone());
    object.insert("@components".to_owned(), components(&id, &COMPONENTS));
    object.insert("@id".to_owned(), json!(id));
    object.insert("@type".to_owned(), json!("DataSet"));
    object.insert("UID".to_owned(), json!(dataset.uid));
    object.insert("id".to_owned(), json!(last_part(&dataset.path)));
    object.insert("title".to_owned(), json!(dataset.title));
    object.insert("description".to_owned(), json!(dataset.description));
    object.insert("review_state".to_owned(), json!(review_state(dataset)));
    object.insert(
        "parent".to_owned(),
        json!({
            "@id": format!("{base}/{family}"), "@type": "Product", "description": "", "image_field": null,
            "image_scales": {}, "review_state": "published", "title": world.family_title(family),
            "type_title": "Product",
        }),
    );
    Value::Object(object)
}

fn components(id: &str, names: &[&str]) -> Value {
    let mut components: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "@id": format!("{id}/@{name}") }))).collect();
    components.insert("feedback_survey".to_owned(), json!({ "is_active": false, "link": "", "text": "" }));
    Value::Object(components)
}

/// The short form of a search, with the metadata fields asked for.
///
/// `metadata` of the catalogue is a fixed list of columns plus, on this service, any field of the schema.
pub(crate) fn summary(dataset: &Dataset, base: &str, fields: &[String]) -> Value {
    let mut object = json!({
        "@id": format!("{base}/{}", dataset.path), "@type": "DataSet", "description": dataset.description,
        "image_field": "", "image_scales": null, "review_state": review_state(dataset),
        "title": dataset.title, "type_title": "DataSet",
    });
    let all = metadata(dataset, base);
    if let Some(object) = object.as_object_mut() {
        for name in fields {
            if name == "_all" {
                object.extend(all.clone());
            } else if let Some(value) =
                all.get(name).or_else(|| dataset.fields.get(name)).or_else(|| TEMPLATE.get(name))
            {
                object.insert(name.clone(), value.clone());
            }
        }
    }
    object
}

/// The columns of the catalogue, as `metadata_fields=_all` lists them (recorded).
fn metadata(dataset: &Dataset, base: &str) -> Map<String, Value> {
    let field = |name: &str| dataset.fields.get(name).or_else(|| TEMPLATE.get(name)).cloned();
    let created = field("created").unwrap_or_default();
    let modified = field("modified").unwrap_or_default();
    let id = last_part(&dataset.path);
    let computed = json!({
        "CreationDate": created, "Date": created, "Description": dataset.description,
        "ModificationDate": modified, "Title": dataset.title, "UID": dataset.uid, "created": created,
        "getId": id, "getPath": format!("/Plone/{}", dataset.path), "getURL": format!("{base}/{}", dataset.path),
        "id": id, "modified": modified, "review_state": review_state(dataset),
    });
    let fixed = json!({
        "Creator": "admin", "EffectiveDate": "None", "ExpirationDate": "None", "Subject": [], "Type": "DataSet",
        "commentators": [], "effective": "1969-12-31T00:00:00+00:00", "exclude_from_nav": false,
        "expires": "2499-12-31T00:00:00+00:00", "getObjSize": "1 KB", "is_folderish": true,
        "listCreators": ["admin"], "mime_type": "text/plain", "portal_type": "DataSet",
        "taxonomy_faqcategories": [], "taxonomy_technical_library_categorization": [],
        "taxonomy_use_case_spatial_coverage": [], "total_comments": 0,
    });
    let mut columns: Map<String, Value> =
        NULL_COLUMNS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    for part in [computed, fixed] {
        if let Value::Object(part) = part {
            columns.extend(part);
        }
    }
    columns
}

/// Columns that no dataset fills.
const NULL_COLUMNS: [&str; 20] = [
    "author_name",
    "cmf_uid",
    "end",
    "external_source_url",
    "getIcon",
    "getRemoteUrl",
    "hasPreviewImage",
    "head_title",
    "in_response_to",
    "last_comment_date",
    "location",
    "nav_title",
    "ondemand",
    "procurement_no",
    "publication_date",
    "start",
    "submission_deadline",
    "sync_uid",
    "version",
    "image_scales",
];

fn review_state(dataset: &Dataset) -> &'static str {
    if dataset.private { "private" } else { "published" }
}

/// The object at the root.
pub(crate) fn site(base: &str) -> Value {
    let names: Vec<&str> = COMPONENTS.into_iter().filter(|name| *name != "translations").collect();
    json!({
        "@components": components(base, &names), "@id": base, "@type": "Plone Site",
        "UID": "b092cdd7f0cf4f7d923fcd27380d1daf", "allow_discussion": false, "blocks": {},
        "blocks_layout": { "items": [] }, "contributors": [], "creators": ["admin"], "description": "",
        "effective": null, "exclude_from_nav": false, "expires": null, "id": "Plone", "is_folderish": true,
        "items": [{
            "@id": format!("{base}/en"), "@type": "Document", "description": "", "image_field": "",
            "image_scales": null, "review_state": "published", "title": "English", "type_title": "Page",
        }],
        "items_total": 1, "language": { "title": "English", "token": "en" },
        "lock": { "locked": false, "stealable": true }, "parent": {}, "relatedItems": [], "review_state": null,
        "rights": "", "subjects": [], "table_of_contents": null,
        "title": "Copernicus Land Monitoring Service", "type_title": "Plone Site",
    })
}
