//! The TIFF side of the raster file: BigTIFF structures, written and (as far as we need) read.
//!
//! Layout of a written header: 16 bytes BigTIFF header | GDAL's ghost area | IFD of the full resolution and its
//! values | IFD of each overview and its values. All offsets are from the start of the file.

use super::grid::{Level, SIDE};
use super::sink::TileSpan;
use super::source::BandColor;
use crate::store::entry::{Codec, PixelType};

/// A TIFF field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// Number of the tag.
    pub(super) code: u16,
    /// TIFF type of its values (2 = ASCII, 3 = SHORT, 4 = LONG, 12 = DOUBLE, 16 = LONG8 …).
    pub(super) kind: u16,
    /// Number of values.
    pub(super) count: u64,
    /// The values, little-endian.
    pub(super) data: Vec<u8>,
}

const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

impl Tag {
    fn shorts(code: u16, values: &[u16]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { code, kind: SHORT, count: values.len() as u64, data }
    }

    fn long(code: u16, value: u32) -> Self {
        Self { code, kind: LONG, count: 1, data: value.to_le_bytes().to_vec() }
    }
}

/// Everything about a raster that stands in its TIFF directories, apart from sizes and tiles.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    /// Type of the pixels.
    pub(super) pixel: PixelType,
    /// What each band is of a picture.
    pub(super) bands: Vec<BandColor>,
    /// Compression of the tiles.
    pub(super) codec: Codec,
    /// Colour table or empty.
    pub(super) palette: Vec<[u8; 4]>,
    /// Georeference, nodata and GDAL's metadata, as GDAL writes them.
    pub(super) extra: Vec<Tag>,
}

/// GDAL's nodata tag, the only one of the extra tags that overviews repeat.
const GDAL_NODATA: u16 = 42_113;

/// The ghost area: says to GDAL that all directories precede the data. Block order is left out: tiles of the
/// full resolution lie in the order in which they were finished.
fn ghost() -> Vec<u8> {
    let body = "LAYOUT=IFDS_BEFORE_DATA\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";
    format!("GDAL_STRUCTURAL_METADATA_SIZE={:06} bytes\n{body}", body.len()).into_bytes()
}

/// Writes the header for `levels` with their tiles' places in the final file.
pub(super) fn header(directory: &Directory, levels: &[(Level, &[TileSpan])]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(b"II");
    out.extend(43u16.to_le_bytes());
    out.extend(8u16.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    let ghost = ghost();
    // Directories begin on even offsets.
    let first = (16 + ghost.len()).next_multiple_of(8);
    out.extend((first as u64).to_le_bytes());
    out.extend(ghost);
    out.resize(first, 0);
    for (number, (level, spans)) in levels.iter().enumerate() {
        let is_last = number + 1 == levels.len();
        write_directory(&mut out, tags(directory, *level, spans, number > 0), is_last);
    }
    out
}

fn tags(directory: &Directory, level: Level, spans: &[TileSpan], is_overview: bool) -> Vec<Tag> {
    let bands = directory.bands.len();
    let bits = directory.pixel.size() as u16 * 8;
    let has_palette = !directory.palette.is_empty()
        && bands == 1
        && matches!(directory.pixel, PixelType::UInt8 | PixelType::UInt16);
    let is_rgb = directory.bands.starts_with(&[BandColor::Red, BandColor::Green, BandColor::Blue])
        && matches!(directory.pixel, PixelType::UInt8 | PixelType::UInt16);
    // The samples beyond those of the photometric interpretation: 2 is alpha that the colours are not multiplied by.
    let extra = &directory.bands[if is_rgb { 3 } else { bands.min(1) }..];
    let extra: Vec<u16> = extra.iter().map(|color| if *color == BandColor::Alpha { 2 } else { 0 }).collect();
    let photometric = match (has_palette, is_rgb) {
        (true, _) => 3,
        (false, true) => 2,
        (false, false) => 1,
    };
    let sample_format = match directory.pixel {
        PixelType::UInt8 | PixelType::UInt16 | PixelType::UInt32 => 1,
        PixelType::Int8 | PixelType::Int16 | PixelType::Int32 => 2,
        PixelType::Float32 | PixelType::Float64 => 3,
    };
    let compression = match directory.codec {
        Codec::Zstd { .. } => 50_000,
        Codec::Zlib { .. } => 8,
    };
    let offsets: Vec<u8> = spans.iter().flat_map(|span| span.offset.to_le_bytes()).collect();
    let lengths: Vec<u8> = spans.iter().flat_map(|span| span.length.to_le_bytes()).collect();
    let mut tags = vec![
        Tag::long(256, level.width),
        Tag::long(257, level.height),
        Tag::shorts(258, &vec![bits; bands]),
        Tag::shorts(259, &[compression]),
        Tag::shorts(262, &[photometric]),
        Tag::shorts(277, &[bands as u16]),
        Tag::shorts(284, &[if bands > 1 { 2 } else { 1 }]),
        Tag::shorts(317, &[1]),
        Tag::shorts(322, &[SIDE as u16]),
        Tag::shorts(323, &[SIDE as u16]),
        Tag { code: 324, kind: LONG8, count: spans.len() as u64, data: offsets },
        Tag { code: 325, kind: LONG, count: spans.len() as u64, data: lengths },
        Tag::shorts(339, &vec![sample_format; bands]),
    ];
    if is_overview {
        tags.push(Tag::long(254, 1));
    }
    if !extra.is_empty() {
        tags.push(Tag::shorts(338, &extra));
    }
    if has_palette {
        let entries = 1usize << bits;
        let component = |channel: usize| {
            (0..entries).map(move |index| {
                directory.palette.get(index).map_or(0, |color| u16::from(color[channel]) * 257)
            })
        };
        tags.push(Tag::shorts(
            320,
            &component(0).chain(component(1)).chain(component(2)).collect::<Vec<_>>(),
        ));
    }
    tags.extend(directory.extra.iter().filter(|tag| !is_overview || tag.code == GDAL_NODATA).cloned());
    tags.sort_by_key(|tag| tag.code);
    tags
}

fn write_directory(out: &mut Vec<u8>, tags: Vec<Tag>, is_last: bool) {
    let start = out.len();
    let end = start + 8 + 20 * tags.len() + 8;
    let mut values: Vec<u8> = Vec::new();
    out.extend((tags.len() as u64).to_le_bytes());
    for tag in &tags {
        out.extend(tag.code.to_le_bytes());
        out.extend(tag.kind.to_le_bytes());
        out.extend(tag.count.to_le_bytes());
        if tag.data.len() <= 8 {
            let mut inline = tag.data.clone();
            inline.resize(8, 0);
            out.extend(inline);
        } else {
            out.extend(((end + values.len()) as u64).to_le_bytes());
            values.extend(&tag.data);
            values.resize(values.len().next_multiple_of(8), 0);
        }
    }
    let next = if is_last { 0 } else { end + values.len() };
    out.extend((next as u64).to_le_bytes());
    out.extend(values);
}

/// Reads the first directory of a little-endian TIFF or BigTIFF; `None` for anything else. `read(offset, length)`
/// gives bytes of the file.
pub(super) fn first_directory(mut read: impl FnMut(u64, usize) -> Option<Vec<u8>>) -> Option<Vec<Tag>> {
    const MOST_TAGS: u64 = 4096;
    const LARGEST_TAG: u64 = 1 << 30;
    let head = read(0, 8)?;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    let is_big = match &head[..4] {
        b"II\x2A\0" => false,
        b"II\x2B\0" => true,
        _ => return None,
    };
    let (offset_size, count_size, entry_size) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
    let start = if is_big { number(&read(8, 8)?) } else { number(&head[4..8]) };
    let count = number(&read(start, count_size)?);
    if count > MOST_TAGS {
        return None;
    }
    let entries = read(start.checked_add(count_size as u64)?, count as usize * entry_size)?;
    let mut tags = Vec::new();
    for entry in entries.chunks_exact(entry_size) {
        let kind = number(&entry[2..4]) as u16;
        let values = number(&entry[4..4 + offset_size]);
        let value_size: u64 = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => continue,
        };
        let length = values.checked_mul(value_size).filter(|&length| length <= LARGEST_TAG)?;
        let field = &entry[4 + offset_size..];
        let data = if length <= offset_size as u64 {
            field[..length as usize].to_vec()
        } else {
            read(number(&field[..offset_size]), length as usize)?
        };
        tags.push(Tag { code: number(&entry[..2]) as u16, kind, count: values, data });
    }
    Some(tags)
}

impl Tag {
    /// The values of an unsigned integer tag.
    pub(super) fn integers(&self) -> Vec<u64> {
        let size = match self.kind {
            1 => 1,
            SHORT => 2,
            LONG => 4,
            LONG8 => 8,
            _ => return Vec::new(),
        };
        self.data
            .chunks_exact(size)
            .map(|bytes| bytes.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte)))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = Directory {
            pixel: PixelType::UInt8,
            bands: vec![BandColor::None],
            codec: Codec::Zstd { level: 1 },
            palette: vec![[1, 2, 3, 255], [4, 5, 6, 255]],
            extra: vec![Tag { code: GDAL_NODATA, kind: 2, count: 4, data: b"255\0".to_vec() }],
        };
        let base = Level { width: 1000, height: 500 };
        let spans = [TileSpan { offset: 5000, length: 7 }, TileSpan::default()];
        let small = [TileSpan { offset: 4000, length: 9 }];
        let bytes = header(&directory, &[(base, &spans), (Level { width: 500, height: 250 }, &small)]);
        assert!(bytes[16..].starts_with(b"GDAL_STRUCTURAL_METADATA_SIZE="));
        let read = |offset: u64, length: usize| {
            let from = usize::try_from(offset).ok()?;
            bytes.get(from..from.checked_add(length)?).map(<[u8]>::to_vec)
        };
        let tags = first_directory(read).unwrap();
        let get = |code: u16| tags.iter().find(|tag| tag.code == code).unwrap();
        assert_eq!(get(256).integers(), [1000]);
        assert_eq!(get(324).integers(), [5000, 0]);
        assert_eq!(get(325).integers(), [7, 0]);
        let map = get(320).integers();
        assert_eq!((map.len(), map[1], map[256], map[512 + 1]), (768, 4 * 257, 2 * 257, 6 * 257));
        assert_eq!(get(GDAL_NODATA).data, b"255\0");
        assert!(tags.is_sorted_by_key(|tag| tag.code));
    }

    #[test]
    fn garbage_is_not_a_directory() {
        assert_eq!(first_directory(|_, length| Some(vec![0xFF; length])), None);
        // A directory that points behind the end of the file.
        let bytes = b"II\x2A\0\xFF\xFF\0\0";
        let read = |offset: u64, length: usize| {
            bytes.get(offset as usize..offset as usize + length).map(<[u8]>::to_vec)
        };
        assert_eq!(first_directory(read), None);
    }
}
