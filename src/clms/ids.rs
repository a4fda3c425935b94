//! The three ids of the service. Newtypes, so that one cannot be sent in place of another.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Ids are 32 or 36 characters and task ids 11 digits; anything much longer is not an id.
const MAX_LENGTH: usize = 128;

/// The text of an id: no blanks around it, no control characters, not empty, not huge.
fn normalise(text: &str) -> Option<&str> {
    let text = text.trim();
    let sound = !text.is_empty() && text.len() <= MAX_LENGTH && !text.chars().any(char::is_control);
    sound.then_some(text)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes the id out of a text; `None` when it is empty, too long or holds control characters.
            pub fn parse(text: &str) -> Option<Self> {
                normalise(text).map(|text| Self(text.into()))
            }

            /// Takes the id out of a JSON string or whole number.
            pub fn from_json(value: &Value) -> Option<Self> {
                match value {
                    Value::String(text) => Self::parse(text),
                    Value::Number(number) if number.is_u64() => Self::parse(&number.to_string()),
                    _ => None,
                }
            }

            /// The id as the service writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// True for the same id in any case: the service's answers do not always repeat an id letter by letter.
            pub fn is(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                Self::from_json(&value)
                    .ok_or_else(|| serde::de::Error::custom(concat!("not a usable ", stringify!($name))))
            }
        }
    };
}

id! {
    /// `UID` of a dataset: 32 hexadecimal digits (`DatasetID` in orders).
    DatasetUid
}
id! {
    /// `@id` of a pre-packaged file: a UUID (`FileID` in orders).
    FileId
}
id! {
    /// Id of a task: 1 to 11 digits; the service writes it as a string, clients have seen numbers.
    TaskId
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_come_as_strings_or_numbers_and_leave_as_strings() {
        let id: TaskId = serde_json::from_value(json!("14909741217")).unwrap();
        let same: TaskId = serde_json::from_value(json!(14_909_741_217_u64)).unwrap();
        assert_eq!(id, same);
        assert_eq!(serde_json::to_value(&id).unwrap(), json!("14909741217"));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for value in [
            json!(""),
            json!("  "),
            json!(null),
            json!(-1),
            json!(1.5),
            json!("a\nb"),
            json!({}),
            json!("x".repeat(500)),
        ] {
            assert!(serde_json::from_value::<FileId>(value.clone()).is_err(), "{value}");
        }
    }
}
