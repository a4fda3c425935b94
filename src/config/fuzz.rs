//! Ways for [`crate::fuzzing`] into what reads settings.

use std::path::Path;

use super::{Resolved, Settings, file, mount_options};

/// A configuration file: what is understood can be written out and read again.
pub(crate) fn file(text: &str) {
    let path = Path::new("/etc/clmsfs/config.toml");
    let _ = mount_options::parse(text);
    let Ok(settings) = file::parse(path, text) else { return };
    let nothing = |_: &str| None;
    let Ok(resolved) = Settings::resolve(&settings, nothing, None) else { return };
    let written = resolved.to_toml(false);
    let again = file::parse(path, &written).expect("what is written is read again");
    let again = Settings::resolve(&again, nothing, None).expect("and is as good as it was");
    let values =
        |resolved: &Resolved| -> Vec<_> { resolved.rows(false).into_iter().map(|row| row.value).collect() };
    assert_eq!(values(&again), values(&resolved), "{written}");
    assert_eq!(again.own_rules, resolved.own_rules, "{written}");
}
