//! What the pixels of a layer mean: type, codes, nodata, colours, class names (CLMS-API section 4.4).

use std::sync::LazyLock;

/// Pixel types of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pixel {
    /// Signed byte, as CLC V2020 has it.
    Int8,
    UInt8,
    Int16,
    UInt16,
    Float32,
}

/// A layer's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// CORINE grid codes 1..44 as signed bytes, nodata -128 (V2020_20u1).
    ClcSigned,
    /// CORINE grid codes 1..44 as bytes, nodata 255 (V18_5).
    ClcByte,
    /// CORINE codes 111..523 as Int16, nodata -32768 (V2018_20).
    ClcCodes,
    /// CORINE changes as signed bytes.
    ClcChange,
    /// 0..100 %, 254 unclassifiable, 255 outside.
    #[default]
    Imperviousness,
    /// 0..100 %, 254 unclassifiable, 255 outside.
    TreeCover,
    /// 0 1 2, 254, 255.
    ForestType,
    /// 0..200 with 100 = no change, as Int16; 255 outside.
    ImperviousnessChange,
    /// CLC+ Backbone 1..11, 253, 254, 255.
    Backbone,
    /// Metres, Float32, nodata -3.4028235e38.
    Elevation,
    /// Metres, UInt16, nodata 65535.
    BuildingHeight,
    /// HRL crop types, UInt16, nodata 65535.
    CropTypes,
    /// Day numbers of phenology as Int16 on a global grid, nodata -32768.
    Phenology,
}

/// One class: code, name, colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) value: i32,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) rgb: [u8; 3],
}

static CORINE: LazyLock<Vec<Class>> = LazyLock::new(|| {
    include_str!("clc_legend.csv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.trim().split(';');
            let value = fields.next()?.parse().ok()?;
            let code = fields.next()?.to_owned();
            let name = fields.next()?.to_owned();
            let mut rgb = fields.next()?.split('-').filter_map(|part| part.parse().ok());
            Some(Class { value, code, name, rgb: [rgb.next()?, rgb.next()?, rgb.next()?] })
        })
        .collect()
});

const CROPS: [(u16, &str); 19] = [
    (1110, "Wheat"),
    (1120, "Barley"),
    (1130, "Maize"),
    (1140, "Rice"),
    (1150, "Other cereals"),
    (1210, "Fresh vegetables"),
    (1220, "Dry pulses"),
    (1310, "Potatoes"),
    (1320, "Sugar beet"),
    (1410, "Sunflower"),
    (1420, "Soybeans"),
    (1430, "Rapeseed"),
    (1440, "Flax, cotton and hemp"),
    (2100, "Grapes"),
    (2200, "Olives"),
    (2310, "Fruits"),
    (2320, "Nuts"),
    (3100, "Unclassified annual crop"),
    (3200, "Unclassified permanent crop"),
];

const BACKBONE: [(&str, [u8; 3]); 11] = [
    ("Sealed", [255, 0, 0]),
    ("Woody needle leaved trees", [34, 139, 34]),
    ("Woody broadleaved deciduous trees", [128, 255, 0]),
    ("Woody broadleaved evergreen trees", [0, 255, 8]),
    ("Low-growing woody plants", [128, 64, 0]),
    ("Permanent herbaceous", [204, 242, 77]),
    ("Periodically herbaceous", [255, 255, 128]),
    ("Lichens and mosses", [255, 128, 255]),
    ("Non and sparsely vegetated", [191, 191, 191]),
    ("Water", [0, 128, 255]),
    ("Snow and ice", [0, 255, 255]),
];

impl Theme {
    pub(crate) fn pixel(self) -> Pixel {
        match self {
            Self::ClcSigned | Self::ClcChange => Pixel::Int8,
            Self::ClcByte | Self::Imperviousness | Self::TreeCover | Self::ForestType | Self::Backbone => {
                Pixel::UInt8
            }
            Self::ClcCodes | Self::ImperviousnessChange | Self::Phenology => Pixel::Int16,
            Self::BuildingHeight | Self::CropTypes => Pixel::UInt16,
            Self::Elevation => Pixel::Float32,
        }
    }

    /// The value that the file declares as nodata.
    pub(crate) fn nodata(self) -> f64 {
        match self {
            Self::ClcSigned | Self::ClcChange => -128.0,
            Self::ClcCodes | Self::Phenology => -32768.0,
            Self::BuildingHeight | Self::CropTypes => 65535.0,
            Self::Elevation => f64::from(f32::MIN),
            _ => 255.0,
        }
    }

    /// The value of a pixel, from its height (0..1, low is sea), its kind (0..1) and its distance from the edge
    /// of the mapped area (0..1, low is outside).
    pub(crate) fn value(self, height: f32, kind: f32, inside: f32) -> f32 {
        if inside < 0.1 {
            return self.nodata() as f32;
        }
        let land = ((height - 0.3) / 0.7).max(0.0);
        let index = |count: usize| (kind * count as f32) as usize % count;
        match self {
            Self::ClcSigned | Self::ClcByte => corine(height, kind) as f32,
            Self::ClcCodes => CORINE_CODES[corine(height, kind)],
            Self::ClcChange if (0.45..0.55).contains(&kind) => corine(height, inside) as f32,
            Self::ClcChange => 0.0,
            Self::Imperviousness | Self::TreeCover if kind > 0.985 => 254.0,
            Self::Imperviousness => percent(kind, 0.62),
            Self::TreeCover => {
                if height < 0.3 {
                    0.0
                } else {
                    percent(kind, 0.35)
                }
            }
            Self::ForestType => {
                if land <= 0.0 || kind < 0.35 {
                    0.0
                } else if kind < 0.65 {
                    1.0
                } else {
                    2.0
                }
            }
            Self::ImperviousnessChange => {
                if kind < 0.2 {
                    201.0
                } else {
                    (100.0 + (land - 0.5) * 60.0).round()
                }
            }
            Self::Backbone if height < 0.26 => 253.0,
            Self::Backbone if height < 0.3 => 10.0,
            Self::Backbone => index(BACKBONE.len()) as f32 + 1.0,
            Self::Elevation => {
                if land <= 0.0 {
                    0.0
                } else {
                    (land * land * 3200.0 * 4.0).round() / 4.0
                }
            }
            Self::BuildingHeight => {
                if kind < 0.6 {
                    0.0
                } else {
                    3.0 + ((kind - 0.6) * 90.0).floor()
                }
            }
            Self::CropTypes if height < 0.4 => 0.0,
            Self::CropTypes => f32::from(CROPS[index(CROPS.len())].0),
            Self::Phenology => {
                if land <= 0.0 {
                    -1.0
                } else {
                    (60.0 + kind * 200.0).round()
                }
            }
        }
    }

    /// The classes with names, empty for continuous layers.
    pub(crate) fn classes(self) -> Vec<Class> {
        let class = |value: i32, name: &str, rgb| Class {
            value,
            code: value.to_string(),
            name: name.to_owned(),
            rgb,
        };
        let special = |name: &str| [class(254, name, [230, 230, 230]), class(255, "Outside area", [0, 0, 0])];
        match self {
            Self::ClcSigned | Self::ClcByte => CORINE.clone(),
            Self::ClcCodes => CORINE
                .iter()
                .filter_map(|class| Some(Class { value: class.code.parse().ok()?, ..class.clone() }))
                .collect(),
            Self::ClcChange => {
                let mut classes = vec![class(0, "No change", [255, 255, 255])];
                classes.extend(CORINE.iter().filter(|class| class.value > 0).cloned());
                classes
            }
            Self::ForestType => [
                class(0, "All non-forest areas", [240, 240, 240]),
                class(1, "Broadleaved forest", [70, 158, 74]),
                class(2, "Coniferous forest", [28, 92, 36]),
            ]
            .into_iter()
            .chain(special("Unclassifiable"))
            .collect(),
            Self::Backbone => (1..)
                .zip(BACKBONE)
                .map(|(value, (name, rgb))| class(value, name, rgb))
                .chain([class(253, "Coastal seawater buffer", [191, 223, 255])])
                .chain(special("Outside area"))
                .collect(),
            Self::CropTypes => [(0, "Non-crop")]
                .into_iter()
                .chain(CROPS)
                .map(|(value, name)| {
                    let shade = (value / 10 % 200) as u8;
                    class(i32::from(value), name, [255 - shade, 80 + shade / 2, shade])
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The colour of every value of a byte layer that has a palette.
    pub(crate) fn palette(self) -> Vec<(u16, [u8; 3])> {
        let ramp = |from: [u8; 3], to: [u8; 3]| {
            (0..=100_u16).map(move |value| {
                let part = |low: u8, high: u8| {
                    (f32::from(low) + (f32::from(high) - f32::from(low)) * f32::from(value) / 100.0) as u8
                };
                (value, [part(from[0], to[0]), part(from[1], to[1]), part(from[2], to[2])])
            })
        };
        let special = [(254, [153, 153, 153]), (255, [0, 0, 0])];
        match self {
            Self::Imperviousness => ramp([255, 245, 200], [150, 0, 30]).chain(special).collect(),
            Self::TreeCover => ramp([240, 240, 240], [28, 92, 36]).chain(special).collect(),
            _ if matches!(self.pixel(), Pixel::UInt8 | Pixel::Int8) => self
                .classes()
                .into_iter()
                .filter_map(|class| Some((u16::try_from(class.value).ok()?, class.rgb)))
                .collect(),
            _ => Vec::new(),
        }
    }
}

fn percent(kind: f32, threshold: f32) -> f32 {
    if kind < threshold {
        0.0
    } else {
        ((kind - threshold) / (0.985 - threshold) * 100.0).round().clamp(1.0, 100.0)
    }
}

/// The three-digit code of every grid code 1..44; 999 (no data) elsewhere.
static CORINE_CODES: LazyLock<[f32; 45]> = LazyLock::new(|| {
    let mut codes = [999.0; 45];
    for class in CORINE.iter() {
        if let (Ok(index), Ok(code)) = (usize::try_from(class.value), class.code.parse())
            && let Some(slot) = codes.get_mut(index)
        {
            *slot = code;
        }
    }
    codes
});

/// Sea below, then land classes in broad smooth patches: a grid code 1..44.
fn corine(height: f32, kind: f32) -> usize {
    match height {
        h if h < 0.24 => 44,
        h if h < 0.27 => 42,
        h if h < 0.285 => 40,
        _ => (kind * 39.0) as usize % 39 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Theme; 13] = [
        Theme::ClcSigned,
        Theme::ClcByte,
        Theme::ClcCodes,
        Theme::ClcChange,
        Theme::Imperviousness,
        Theme::TreeCover,
        Theme::ForestType,
        Theme::ImperviousnessChange,
        Theme::Backbone,
        Theme::Elevation,
        Theme::BuildingHeight,
        Theme::CropTypes,
        Theme::Phenology,
    ];

    #[test]
    fn the_legend_has_the_44_classes() {
        let classes = Theme::ClcSigned.classes();
        assert!((1..=44).all(|value| classes.iter().any(|class| class.value == value)));
        assert_eq!(classes[0].rgb, [230, 0, 77]);
        assert!(Theme::ClcCodes.classes().iter().any(|class| class.value == 523));
    }

    #[test]
    fn every_value_fits_its_type_and_has_a_class_where_there_are_classes() {
        for theme in ALL {
            let codes: Vec<i32> = theme.classes().iter().map(|class| class.value).collect();
            for step in 0..1000_u16 {
                let part = f32::from(step) / 1000.0;
                for value in [
                    theme.value(part, 1.0 - part, 0.5),
                    theme.value(0.6, part, 0.5),
                    theme.value(0.6, 0.5, part),
                ] {
                    let range = match theme.pixel() {
                        Pixel::Int8 => -128.0..=127.0,
                        Pixel::UInt8 => 0.0..=255.0,
                        Pixel::Int16 => -32768.0..=32767.0,
                        Pixel::UInt16 => 0.0..=65535.0,
                        Pixel::Float32 => f32::MIN..=f32::MAX,
                    };
                    assert!(range.contains(&value), "{theme:?} {value}");
                    if !codes.is_empty() && f64::from(value) != theme.nodata() {
                        assert!(codes.contains(&(value as i32)), "{theme:?} has no class {value}");
                    }
                }
            }
        }
    }
}
