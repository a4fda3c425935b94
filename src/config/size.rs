//! Sizes as people write them: `64MB`, `4GB`, `2TiB`, plain bytes.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
///
/// Decimal units are powers of 1000 (`kB MB GB TB PB`), binary units powers of 1024 (`KiB MiB GiB TiB PiB`);
/// the two are never mixed up. [`fmt::Display`] writes the shortest form that parses back to the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// With one digit behind the point, as people read it: `1.5 GB`.
    pub fn rounded(self) -> String {
        const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        if unit == 0 { format!("{} B", self.0) } else { format!("{value:.1} {}", UNITS[unit]) }
    }
}

/// Units from the largest to the smallest, so that the first that divides a size is the shortest way to write it.
const UNITS: [(&str, u64); 10] = [
    ("PiB", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Nothing but blanks.
    #[error("a size is missing; write for example 64MB, 4GB or 2TiB")]
    Empty,
    /// The number in front of the unit cannot be read.
    #[error("'{0}' is not a size; write a number and a unit, for example 64MB, 4GB or 2TiB")]
    NotANumber(String),
    /// The unit is unknown.
    #[error(
        "'{0}' is not a unit of size; use B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024)"
    )]
    UnknownUnit(String),
    /// Bits are not bytes.
    #[error("'{0}' counts bits; write bytes with a capital B, for example 64MB")]
    Bits(String),
    /// The value has a fraction of a byte.
    #[error("'{0}' is not a whole number of bytes; use a smaller unit")]
    Fraction(String),
    /// The value does not fit into 64 bits.
    #[error("'{0}' is larger than any disk; at most 16383PiB can be written")]
    TooLarge(String),
}

impl ByteSize {
    /// Number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(SizeError::Empty);
        }
        let end =
            trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(trimmed.len());
        let (number, unit) = (trimmed[..end].trim(), trimmed[end..].trim());
        let factor = unit_factor(unit, trimmed)?;
        scaled(number, factor, trimmed).map(Self)
    }
}

/// Bytes of a unit. Upper and lower case are the same except that a small `b` is a bit.
fn unit_factor(unit: &str, whole: &str) -> Result<u64, SizeError> {
    if unit.is_empty() || unit == "B" {
        return Ok(1);
    }
    if unit.ends_with('b') && unit.len() > 1 && unit[..unit.len() - 1].chars().any(|c| c.is_ascii_uppercase())
    {
        return Err(SizeError::Bits(whole.to_owned()));
    }
    let found = UNITS.iter().find(|(name, _)| {
        // `64M` and `64Mi` are understood as `64MB` and `64MiB`.
        unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(&name[..name.len() - 1])
    });
    if let Some((_, factor)) = found {
        return Ok(*factor);
    }
    match unit {
        "b" | "byte" | "bytes" => Ok(1),
        _ if whole.starts_with(unit) => Err(SizeError::NotANumber(whole.to_owned())),
        _ => Err(SizeError::UnknownUnit(unit.to_owned())),
    }
}

/// `number * factor` in exact integer arithmetic; `1.5` with GB is 1 500 000 000.
fn scaled(number: &str, factor: u64, whole: &str) -> Result<u64, SizeError> {
    let not_a_number = || SizeError::NotANumber(whole.to_owned());
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| -> Result<u128, SizeError> {
        let plain: String = text.chars().filter(|c| *c != '_').collect();
        if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_digit()) || plain.len() > 30 {
            return Err(if plain.len() > 30 {
                SizeError::TooLarge(whole.to_owned())
            } else {
                not_a_number()
            });
        }
        plain.parse().map_err(|_| not_a_number())
    };
    let mut total = digits(integer)?.checked_mul(u128::from(factor)).ok_or_else(not_a_number)?;
    if number.contains('.') {
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            let power = 10u128
                .checked_pow(u32::try_from(fraction.len()).map_err(|_| not_a_number())?)
                .ok_or_else(|| SizeError::Fraction(whole.to_owned()))?;
            let part = digits(fraction)?.checked_mul(u128::from(factor)).ok_or_else(not_a_number)?;
            if part % power != 0 {
                return Err(SizeError::Fraction(whole.to_owned()));
            }
            total += part / power;
        }
    }
    u64::try_from(total).map_err(|_| SizeError::TooLarge(whole.to_owned()))
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        match exact {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(text: &str) -> Result<u64, SizeError> {
        text.parse::<ByteSize>().map(ByteSize::bytes)
    }

    #[test]
    fn decimal_and_binary_units_are_kept_apart() {
        assert_eq!(size("64MB"), Ok(64_000_000));
        assert_eq!(size("64MiB"), Ok(67_108_864));
        assert_eq!(size("4GB"), Ok(4_000_000_000));
        assert_eq!(size("2TiB"), Ok(2_199_023_255_552));
        assert_eq!(size("1kB"), Ok(1_000));
        assert_eq!(size("1KiB"), Ok(1_024));
        assert_eq!(size("1PB"), Ok(1_000_000_000_000_000));
        assert_eq!(size("123"), Ok(123));
        assert_eq!(size("123B"), Ok(123));
        assert_eq!(size("0"), Ok(0));
    }

    #[test]
    fn the_spellings_people_use() {
        assert_eq!(size(" 64 mb "), Ok(64_000_000));
        assert_eq!(size("64M"), Ok(64_000_000));
        assert_eq!(size("64Mi"), Ok(67_108_864));
        assert_eq!(size("1.5GB"), Ok(1_500_000_000));
        assert_eq!(size("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(size("1_000_000"), Ok(1_000_000));
    }

    #[test]
    fn nonsense_is_refused_with_advice() {
        assert_eq!(size("  "), Err(SizeError::Empty));
        assert!(matches!(size("lots"), Err(SizeError::NotANumber(_))));
        assert!(matches!(size("-1GB"), Err(SizeError::NotANumber(_))));
        assert!(matches!(size("1.2.3GB"), Err(SizeError::NotANumber(_))));
        assert!(matches!(size(".GB"), Err(SizeError::NotANumber(_))));
        assert!(matches!(size("5 apples"), Err(SizeError::UnknownUnit(_))));
        assert!(matches!(size("64Mb"), Err(SizeError::Bits(_))));
        assert!(matches!(size("0.5"), Err(SizeError::Fraction(_))));
        assert!(matches!(size("99999999PB"), Err(SizeError::TooLarge(_))));
        assert!(matches!(size("9999999999999999999999999999999999999"), Err(SizeError::TooLarge(_))));
        assert!(size("5 apples").unwrap_err().to_string().contains("GiB"));
    }

    proptest! {
        #[test]
        fn every_size_survives_being_written_and_read(bytes: u64) {
            prop_assert_eq!(size(&ByteSize(bytes).to_string()), Ok(bytes));
        }

        #[test]
        fn round_sizes_survive_too(count in 0u64..16_000, unit in 0usize..10) {
            let bytes = ByteSize(count * UNITS[unit].1);
            prop_assert_eq!(bytes.to_string().parse::<ByteSize>(), Ok(bytes));
            prop_assert_eq!(size(&format!("{count}{}", UNITS[unit].0)), Ok(bytes.0));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = size(&text);
        }

        #[test]
        fn no_almost_size_panics(text in "[0-9._]{0,40} ?[kKmMgGtTpP]?i?[bB]?") {
            let _ = size(&text);
        }
    }
}
