//! The one place where names of the service become names of files.
//!
//! A safe name has no `/`, no control characters, nothing invisible and no blanks around it, is neither empty nor `.` nor
//! `..`, and has at most [`MAX_BYTES`] bytes, which leaves room for `~2` and for endings such as `.tif.aux.xml`.
//! Everything else stays as the editors wrote it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Longest safe name in bytes (Linux allows 255 for a name with all its endings).
pub(super) const MAX_BYTES: usize = 200;

/// Names beside the dataset directories that no dataset may take.
pub const RESERVED_IN_ROOT: [&str; 3] = ["README.md", "catalog.json", ".clmsfs"];
/// Names beside the product directories that no product may take.
pub const RESERVED_IN_DATASET: [&str; 3] = ["collection.json", "metadata.json", "subset"];

/// Endings that a product name loses: they come back as `<product>.tif`, `.zarr`, `.gpkg` …
const ENDINGS: [&str; 8] = [".zip", ".tif", ".tiff", ".nc", ".gpkg", ".gdb", ".shp", ".zarr"];

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as a text, usable as the name of a directory entry.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes a name that [`assign`] has made.
            pub(super) fn assigned(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name! {
    /// Name of a dataset's directory: its short `id`, made safe and unique.
    DatasetName
}
name! {
    /// Name of a product's directory and stem of its files, made safe and unique in its dataset.
    ProductName
}

/// Makes a text safe, `None` when nothing is left of it.
pub(super) fn safe(raw: &str) -> Option<String> {
    let kept: String =
        raw.chars().filter(|letter| *letter != '/' && crate::text::is_harmless(*letter)).collect();
    let mut end = kept.trim();
    if end.len() > MAX_BYTES {
        end = end[..end.floor_char_boundary(MAX_BYTES)].trim();
    }
    (!matches!(end, "" | "." | "..")).then(|| end.to_owned())
}

/// The safe name of a dataset; of its id when nothing is left of the name.
pub(super) fn safe_or(raw: &str, id: &str) -> String {
    safe(raw).unwrap_or_else(|| fallback(id))
}

/// The name of what has none.
pub(super) fn fallback(id: &str) -> String {
    safe(id).unwrap_or_else(|| "unnamed".to_owned())
}

/// The safe name of a product: without the endings of packages and files (`x.tif.zip`, `x.tiff` → `x`).
///
/// Without this a product `x.tiff` would be served as `x.tiff/x.tiff.tif`.
pub(super) fn safe_product(raw: &str) -> Option<String> {
    let mut name = safe(raw)?;
    while let Some(ending) = ENDINGS.iter().find(|ending| {
        name.len() > ending.len()
            && name.is_char_boundary(name.len() - ending.len())
            && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending)
    }) {
        let Some(shorter) = safe(&name[..name.len() - ending.len()]) else { break };
        name = shorter;
    }
    Some(name)
}

/// Gives every candidate a name of its own.
///
/// `candidates` are (safe name, key); the result is in their order. Of those with the same name the one with the
/// smallest key keeps it, the others get `~2`, `~3` … in the order of their keys, passing over names that somebody
/// has by nature or that are reserved. So a name depends on its namesakes only, not on the order of the list nor on
/// other items. Keys should differ; items with the same name and key are numbered in the order of the list.
pub(super) fn assign<K: Ord>(candidates: &[(String, K)], reserved: &[&str]) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, (name, _)) in candidates.iter().enumerate() {
        groups.entry(name).or_default().push(index);
    }
    let natural: HashSet<&str> = groups.keys().copied().collect();
    let mut names = vec![String::new(); candidates.len()];
    for (name, members) in &mut groups {
        members.sort_by(|a, b| candidates[*a].1.cmp(&candidates[*b].1));
        let mut members = members.iter();
        if !reserved.contains(name)
            && let Some(first) = members.next()
        {
            names[*first] = (*name).to_owned();
        }
        let mut number = 2u32;
        for member in members {
            let mut numbered = format!("{name}~{number}");
            while natural.contains(numbered.as_str()) || reserved.contains(&numbered.as_str()) {
                number += 1;
                numbered = format!("{name}~{number}");
            }
            number += 1;
            names[*member] = numbered;
        }
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_lose_only_what_a_file_system_cannot_bear() {
        assert_eq!(
            safe(" (SEASON 2) c_gls_LSP300 V1.0.1 ").as_deref(),
            Some("(SEASON 2) c_gls_LSP300 V1.0.1")
        );
        assert_eq!(safe("a/b\0c\nd\u{85}e").as_deref(), Some("abcde"));
        assert_eq!(safe("../../etc").as_deref(), Some("....etc"));
        assert_eq!(safe("/./").as_deref(), None);
        assert_eq!(safe("..").as_deref(), None);
        assert_eq!(safe(" \t ").as_deref(), None);
        assert_eq!(safe("100m – Part 1").as_deref(), Some("100m – Part 1"));
        assert_eq!(
            safe("daily-surface-soil-moisture-v1.0").as_deref(),
            Some("daily-surface-soil-moisture-v1.0")
        );
        assert_eq!(safe(&"é".repeat(150)).unwrap().len(), 200);
    }

    #[test]
    fn endings_of_packages_and_files_go() {
        for (raw, name) in [
            ("c_gls_LSP300-MAXV_V1.0.1.tiff", "c_gls_LSP300-MAXV_V1.0.1"),
            ("x.TIF.zip", "x"),
            ("x .tif", "x"),
            ("x.nc", "x"),
            (".tif", ".tif"),
            ("..tif", "..tif"),
            ("V1.0.1", "V1.0.1"),
            ("ﬀ.tif", "ﬀ"),
        ] {
            assert_eq!(safe_product(raw).as_deref(), Some(name), "{raw}");
        }
    }

    #[test]
    fn namesakes_are_numbered_by_their_keys() {
        let names = |list: &[(&str, u32)]| {
            let list: Vec<_> = list.iter().map(|(name, key)| ((*name).to_owned(), *key)).collect();
            assign(&list, &RESERVED_IN_DATASET)
        };
        assert_eq!(names(&[("a", 9), ("b", 1), ("a", 3), ("a", 5)]), ["a~3", "b", "a", "a~2"]);
        assert_eq!(names(&[("a", 1), ("a~2", 2), ("a", 3)]), ["a", "a~2", "a~3"]);
        assert_eq!(names(&[("subset", 1), ("subset", 2)]), ["subset~2", "subset~3"]);
    }

    proptest! {
        #[test]
        fn safe_names_are_safe(raw in ".{0,300}", product in any::<bool>()) {
            let name = if product { safe_product(&raw) } else { safe(&raw) };
            if let Some(name) = name {
                prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
                prop_assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= MAX_BYTES);
                prop_assert_eq!(name.trim(), name.as_str());
                prop_assert_eq!(safe(&name).unwrap(), name, "making safe twice changes nothing");
            }
        }

        #[test]
        fn assigned_names_are_unique_and_do_not_depend_on_the_order(
            raw in prop::collection::vec("(a|b|a~2|a~3|subset|a~2~2)", 0..24), seed in any::<u64>(),
        ) {
            let list: Vec<(String, usize)> = raw.into_iter().enumerate().map(|(key, name)| (name, key)).collect();
            let names = assign(&list, &RESERVED_IN_DATASET);
            let unique: HashSet<_> = names.iter().collect();
            prop_assert_eq!(unique.len(), names.len());
            prop_assert!(names.iter().all(|name| !RESERVED_IN_DATASET.contains(&name.as_str()) && !name.is_empty()));

            let mut shuffled = list.clone();
            shuffled.sort_by_key(|(_, key)| (*key as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let other = assign(&shuffled, &RESERVED_IN_DATASET);
            for ((_, key), name) in shuffled.iter().zip(&other) {
                prop_assert_eq!(name, &names[*key]);
            }
        }
    }
}
