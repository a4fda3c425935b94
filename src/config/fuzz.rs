//! Ways for [`crate::fuzzing`] into what reads settings.

use std::path::Path;

use super::{Resolved, Settings, file, mount_options};

/// A configuration file: what is understood can be written out and read again.
pub(crate) fn file(text: &str) {
    let path = Path::new("/etc/clmsfs/config.toml");
    let _ = mount_options::parse(text);
    let reading = file::parse(path, text);
    if !reading.errors.is_empty() {
        return;
    }
    let settings = reading.settings;
    let nothing = |_: &str| None;
    let Ok(resolved) = Settings::resolve(&settings, nothing, None) else { return };
    let written = resolved.to_toml(false);
    let again = file::parse(path, &written);
    assert!(again.errors.is_empty(), "what is written is read again: {:?}\n{written}", again.errors);
    let again = Settings::resolve(&again.settings, nothing, None).expect("and is as good as it was");
    let values =
        |resolved: &Resolved| -> Vec<_> { resolved.rows(false).into_iter().map(|row| row.value).collect() };
    assert_eq!(values(&again), values(&resolved), "{written}");
    assert_eq!(again.own_rules, resolved.own_rules, "{written}");
}
