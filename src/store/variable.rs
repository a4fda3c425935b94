//! What a source's variable says of its values beyond GDAL's model: the CF attributes that readers of Zarr expect.

use serde::{Deserialize, Serialize};

use super::entry::Number;

/// CF facts of a raster; empty for sources that are no netCDF.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VariableMeta {
    /// What the values are, in words; bands by date have their dates as descriptions.
    pub long_name: String,
    /// The CF standard name, or empty.
    pub standard_name: String,
    /// Smallest and largest stored value that is a measurement; what lies outside are codes.
    pub valid_range: Option<[Number; 2]>,
    /// What its bits mean, where values are combinations of bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_flags: Option<BitFlags>,
}

/// The meaning of bits, as CF puts it (section 3.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BitFlags {
    /// Which bits each meaning is about.
    pub masks: Vec<Number>,
    /// The value of these bits for each meaning; empty where each mask is one bit that is set or not.
    pub values: Vec<Number>,
    /// The meanings, separated by blanks; empty where they are not as many as masks.
    pub meanings: String,
}

impl VariableMeta {
    /// True when there is nothing to write down.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// False for the codes outside the valid range, which are no measurements.
    pub fn measures(&self, stored: f64) -> bool {
        self.valid_range.is_none_or(|[low, high]| (low.0..=high.0).contains(&stored))
    }
}
