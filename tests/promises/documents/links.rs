//! Links within the documents lead somewhere, and every page is named in the list of pages.

use super::markdown::{anchor, headings, links};
use super::{document, documents, files, root};

#[test]
fn every_link_to_a_file_or_heading_leads_there() {
    let mut count = 0;
    for document in documents() {
        let folder = root().join(&document.name).parent().unwrap().to_owned();
        for (line, target) in links(&document.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let place = format!("{}:{line}: ({target})", document.name);
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { root().join(&document.name) } else { folder.join(path) };
            assert!(file.exists(), "{place}: there is no {}", file.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let found = headings(&text).iter().any(|(_, name)| anchor(name) == heading);
                assert!(found, "{place}: no heading makes '{heading}'");
            }
            count += 1;
        }
    }
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn every_page_is_in_the_list_of_pages() {
    let list = document("docs/README.md");
    let named: Vec<&str> = links(&list.text).into_iter().map(|(_, target)| target).collect();
    for page in files(&root().join("docs"), "md") {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || named.contains(&name), "docs/README.md does not name {name}");
    }
    let front = document("README.md");
    assert!(links(&front.text).iter().any(|(_, target)| *target == "docs/README.md"));
}
