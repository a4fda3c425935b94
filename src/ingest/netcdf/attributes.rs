//! Attributes of a netCDF variable, and what CF says they mean. Pure.

use std::collections::BTreeMap;

use crate::ingest::classes::{AttributeTable, Column, Usage};
use crate::store::entry::{Number, PixelType};
use crate::store::variable::{BitFlags, VariableMeta};

/// The attributes that are looked at.
pub(super) const NAMES: [&str; 24] = [
    "_FillValue",
    "_Unsigned",
    "add_offset",
    "axis",
    "calendar",
    "coordinates",
    "crs_wkt",
    "epsg_code",
    "flag_masks",
    "flag_meanings",
    "flag_values",
    "grid_mapping",
    "long_name",
    "missing_value",
    "positive",
    "proj4",
    "scale_factor",
    "spatial_ref",
    "standard_name",
    "units",
    "valid_max",
    "valid_min",
    "valid_range",
    "bounds",
];

/// A value: a text, or numbers of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attribute {
    Text(String),
    Numbers(Vec<f64>),
}

/// The attributes of a variable by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attributes(BTreeMap<String, Attribute>);

impl Attributes {
    pub(super) fn insert(&mut self, name: &str, value: Attribute) {
        self.0.insert(name.to_owned(), value);
    }

    /// A text without blanks around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Attribute::Text(text)) => text.trim(),
            _ => "",
        }
    }

    /// Numbers; some writers give them as texts.
    pub(super) fn numbers(&self, name: &str) -> Vec<f64> {
        match self.0.get(name) {
            Some(Attribute::Numbers(numbers)) => numbers.clone(),
            Some(Attribute::Text(text)) => text
                .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
                .filter(|word| !word.is_empty())
                .map(|word| word.trim_end_matches(['b', 'B', 'u', 'U', 's', 'S', 'f', 'F', 'L']).parse().ok())
                .collect::<Option<_>>()
                .unwrap_or_default(),
            None => Vec::new(),
        }
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.numbers(name).as_slice() {
            [number] => Some(*number),
            _ => None,
        }
    }

    /// A stored value as pixels of the type hold it: where a writer says `-1` of unsigned bytes, it means 255.
    fn stored(pixel: PixelType, value: f64) -> f64 {
        match pixel.integer_range() {
            Some((0, high)) if value < 0.0 && value >= -((high + 1) as f64 / 2.0) => {
                value + (high + 1) as f64
            }
            Some((low, high)) if low < 0 && value > high as f64 && value < 2.0 * (high + 1) as f64 => {
                value - 2.0 * (high + 1) as f64
            }
            _ => value,
        }
    }

    /// `_FillValue`, else `missing_value`: what netCDF itself would fill with is no statement of the producer.
    pub(super) fn nodata(&self, pixel: PixelType) -> Option<f64> {
        let stated = self.number("_FillValue").or_else(|| self.number("missing_value"));
        stated.map(|value| Self::stored(pixel, value))
    }

    /// Scale and offset, `None` where they are not stated.
    pub(super) fn scaling(&self) -> (Option<f64>, Option<f64>) {
        let finite = |name: &str| self.number(name).filter(|value| value.is_finite());
        (finite("scale_factor"), finite("add_offset"))
    }

    /// What readers of CF expect to find again.
    pub(super) fn variable(&self, pixel: PixelType) -> VariableMeta {
        let range = match self.numbers("valid_range").as_slice() {
            [low, high] => Some((*low, *high)),
            _ => self.number("valid_min").zip(self.number("valid_max")),
        };
        let range = range.map(|(low, high)| (Self::stored(pixel, low), Self::stored(pixel, high)));
        VariableMeta {
            long_name: self.text("long_name").to_owned(),
            standard_name: self.text("standard_name").to_owned(),
            valid_range: range
                .filter(|(low, high)| low <= high)
                .map(|(low, high)| [Number(low), Number(high)]),
            bit_flags: self.bit_flags(pixel),
        }
    }

    /// `flag_masks`, with the values and meanings that belong to them.
    fn bit_flags(&self, pixel: PixelType) -> Option<BitFlags> {
        let numbers = |name: &str| -> Vec<Number> {
            self.numbers(name).into_iter().map(|value| Number(Self::stored(pixel, value))).collect()
        };
        let (masks, values) = (numbers("flag_masks"), numbers("flag_values"));
        if masks.is_empty() || pixel.is_float() {
            return None;
        }
        let words: Vec<&str> = self.text("flag_meanings").split_whitespace().collect();
        let is_paired = words.len() == masks.len() && (values.is_empty() || values.len() == masks.len());
        let meanings = if is_paired { words.join(" ") } else { String::new() };
        Some(BitFlags { masks, values, meanings })
    }

    /// CF flags as a table of values and names. Masks are combinations of bits, not classes.
    pub(super) fn flags(&self, pixel: PixelType) -> Option<AttributeTable> {
        let values = self.numbers("flag_values");
        if values.is_empty() || self.0.contains_key("flag_masks") {
            return None;
        }
        let meanings: Vec<&str> = self
            .text("flag_meanings")
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|w| !w.is_empty())
            .collect();
        // More values than words, or fewer: which word belongs to which value is anybody's guess.
        let is_paired = meanings.len() == values.len();
        let column = |name: &str, is_text, usage| Column { name: name.to_owned(), is_text, usage };
        let rows = values
            .iter()
            .enumerate()
            .map(|(number, &value)| {
                let meaning = if is_paired { meanings[number] } else { "" };
                vec![Self::stored(pixel, value).to_string(), meaning.to_owned()]
            })
            .collect();
        Some(AttributeTable {
            columns: vec![column("Value", false, Usage::Value), column("Name", true, Usage::Name)],
            rows,
        })
    }
}

#[cfg(test)]
pub(super) fn of(pairs: &[(&str, Attribute)]) -> Attributes {
    Attributes(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A text, for tests.
#[cfg(test)]
pub(super) fn text(text: &str) -> Attribute {
    Attribute::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[f64]) -> Attribute {
        Attribute::Numbers(numbers.to_vec())
    }

    #[test]
    fn nodata_is_what_the_producer_states() {
        let both = of(&[("_FillValue", numbers(&[255.0])), ("missing_value", numbers(&[254.0]))]);
        assert_eq!(both.nodata(PixelType::UInt8), Some(255.0));
        let missing = of(&[("missing_value", numbers(&[-9999.0]))]);
        assert_eq!(missing.nodata(PixelType::Int16), Some(-9999.0));
        assert_eq!(of(&[]).nodata(PixelType::Int16), None);
        // Signs as writers of bytes give them.
        assert_eq!(of(&[("_FillValue", numbers(&[-1.0]))]).nodata(PixelType::UInt8), Some(255.0));
        assert_eq!(of(&[("_FillValue", numbers(&[128.0]))]).nodata(PixelType::Int8), Some(-128.0));
        assert_eq!(of(&[("_FillValue", text("-999b"))]).nodata(PixelType::Int16), Some(-999.0));
    }

    #[test]
    fn ranges_and_names() {
        let attributes = of(&[
            ("long_name", text(" Surface Soil Moisture ")),
            ("standard_name", text("soil_moisture")),
            ("valid_range", numbers(&[0.0, -56.0])),
        ]);
        let meta = attributes.variable(PixelType::UInt8);
        assert_eq!(
            (meta.long_name.as_str(), meta.standard_name.as_str()),
            ("Surface Soil Moisture", "soil_moisture")
        );
        assert_eq!(meta.valid_range, Some([Number(0.0), Number(200.0)]));
        let split = of(&[("valid_min", numbers(&[1.0])), ("valid_max", numbers(&[9.0]))]);
        assert_eq!(split.variable(PixelType::Int16).valid_range, Some([Number(1.0), Number(9.0)]));
        assert!(of(&[("valid_range", numbers(&[9.0, 1.0]))]).variable(PixelType::Int16).is_empty());
    }

    #[test]
    fn flags_become_a_table_of_classes() {
        let flags = of(&[
            ("flag_values", numbers(&[-15.0, -14.0, -3.0])),
            ("flag_meanings", text("exceeding_min exceeding_max  water")),
        ]);
        let table = flags.flags(PixelType::UInt8).unwrap_or_else(|| panic!("a table"));
        let rows: Vec<Vec<&str>> =
            table.rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        assert_eq!(rows, [["241", "exceeding_min"], ["242", "exceeding_max"], ["253", "water"]]);
        let unpaired = of(&[("flag_values", numbers(&[1.0, 2.0])), ("flag_meanings", text("only"))]);
        assert_eq!(
            unpaired.flags(PixelType::UInt8).map(|table| table.rows[0][1].clone()),
            Some(String::new())
        );
        let masks = of(&[("flag_values", numbers(&[1.0])), ("flag_masks", numbers(&[1.0]))]);
        assert_eq!(masks.flags(PixelType::UInt8), None);
        assert_eq!(
            masks.bit_flags(PixelType::UInt8).unwrap_or_default().meanings,
            "",
            "a mask without a word"
        );
        let bits =
            of(&[("flag_masks", numbers(&[1.0, 2.0, -128.0])), ("flag_meanings", text("cloud snow  sea"))]);
        let flags = bits.variable(PixelType::UInt8).bit_flags.unwrap_or_default();
        assert_eq!((flags.masks.last(), flags.meanings.as_str()), (Some(&Number(128.0)), "cloud snow sea"));
        assert!(flags.values.is_empty() && bits.variable(PixelType::Float32).bit_flags.is_none());
        assert_eq!(of(&[]).flags(PixelType::UInt8), None);
    }

    #[test]
    fn scaling_is_one_finite_number_each() {
        let scaled = of(&[("scale_factor", numbers(&[0.5])), ("add_offset", text("-10"))]);
        assert_eq!(scaled.scaling(), (Some(0.5), Some(-10.0)));
        let odd = of(&[("scale_factor", numbers(&[1.0, 2.0])), ("add_offset", numbers(&[f64::NAN]))]);
        assert_eq!(odd.scaling(), (None, None));
    }
}
