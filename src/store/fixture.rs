//! Small real entries for the tests of `store` and `view`, written without `ingest` (so that the two cannot be
//! wrong together). Pixels follow from [`value`]; every third tile of the grid is missing.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use super::entry::*;
use super::entry_dir;
use super::variable::VariableMeta;

const WKT1: &str = r#"PROJCS["ETRS89-extended / LAEA Europe",GEOGCS["ETRS89",DATUM["European_Terrestrial_Reference_System_1989",SPHEROID["GRS 1980",6378137,298.257222101,AUTHORITY["EPSG","7019"]],AUTHORITY["EPSG","6258"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4258"]],PROJECTION["Lambert_Azimuthal_Equal_Area"],PARAMETER["latitude_of_center",52],PARAMETER["longitude_of_center",10],PARAMETER["false_easting",4321000],PARAMETER["false_northing",3210000],UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Northing",NORTH],AXIS["Easting",EAST],AUTHORITY["EPSG","3035"]]"#;
const WKT2: &str = r#"PROJCRS["ETRS89-extended / LAEA Europe",BASEGEOGCRS["ETRS89",DATUM["European Terrestrial Reference System 1989",ELLIPSOID["GRS 1980",6378137,298.257222101,LENGTHUNIT["metre",1]]],PRIMEM["Greenwich",0,ANGLEUNIT["degree",0.0174532925199433]],ID["EPSG",4258]],CONVERSION["Europe Equal Area 2001",METHOD["Lambert Azimuthal Equal Area",ID["EPSG",9820]],PARAMETER["Latitude of natural origin",52,ANGLEUNIT["degree",0.0174532925199433],ID["EPSG",8801]],PARAMETER["Longitude of natural origin",10,ANGLEUNIT["degree",0.0174532925199433],ID["EPSG",8802]],PARAMETER["False easting",4321000,LENGTHUNIT["metre",1],ID["EPSG",8806]],PARAMETER["False northing",3210000,LENGTHUNIT["metre",1],ID["EPSG",8807]]],CS[Cartesian,2],AXIS["northing (Y)",north,ORDER[1],LENGTHUNIT["metre",1]],AXIS["easting (X)",east,ORDER[2],LENGTHUNIT["metre",1]],ID["EPSG",3035]]"#;

const WGS84_WKT1: &str = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]"#;
const WGS84_WKT2: &str = r#"GEOGCRS["WGS 84",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563,LENGTHUNIT["metre",1]]],PRIMEM["Greenwich",0,ANGLEUNIT["degree",0.0174532925199433]],CS[ellipsoidal,2],AXIS["geodetic latitude (Lat)",north,ORDER[1],ANGLEUNIT["degree",0.0174532925199433]],AXIS["geodetic longitude (Lon)",east,ORDER[2],ANGLEUNIT["degree",0.0174532925199433]],ID["EPSG",4326]]"#;

/// The entry of a product with these rasters.
pub(crate) fn meta(product: &str, rasters: Vec<RasterMeta>) -> EntryMeta {
    EntryMeta { format: ENTRY_FORMAT, product: product.into(), rasters, vectors: vec![], originals: vec![] }
}

/// A raster of `pixel` in EPSG:3035 with 10 m pixels, one band, zstd and all overviews down to one tile.
pub(crate) fn raster(name: &str, pixel: PixelType, width: u32, height: u32) -> RasterMeta {
    let mut overviews = vec![];
    let (mut factor, mut size) = (1, (width, height));
    while size.0 > TILE || size.1 > TILE {
        factor *= 2;
        size = (width.div_ceil(factor), height.div_ceil(factor));
        overviews.push(Overview { factor, width: size.0, height: size.1 });
    }
    RasterMeta {
        name: name.into(),
        pixel,
        width,
        height,
        bands: vec![BandMeta::default()],
        codec: Codec::Zstd { level: 1 },
        geotransform: [4_321_000.0, 10.0, 0.0, 3_210_000.0, 0.0, -10.0],
        crs: Some(Crs { epsg: Some(3035), wkt1: WKT1.into(), wkt2: WKT2.into(), projected: true }),
        nodata: None,
        classes: vec![],
        palette: vec![],
        categorical: false,
        overviews,
        sources: vec![format!("{name}.tif")],
        times: Vec::new(),
        variable: VariableMeta::default(),
    }
}

/// A UInt8 raster of three classes, nodata 255.
pub(crate) fn classes(name: &str, width: u32, height: u32) -> RasterMeta {
    let class = |value, name: &str, color| Class { value, name: name.into(), color: Some(color) };
    RasterMeta {
        nodata: Some(Number(255.0)),
        classes: vec![
            class(0, "Non-tree areas (incl. water)", [240, 240, 240, 255]),
            class(1, "Broadleaved trees", [70, 158, 74, 255]),
            class(2, "Coniferous trees", [28, 92, 36, 255]),
        ],
        categorical: true,
        ..raster(name, PixelType::UInt8, width, height)
    }
}

/// The same raster in EPSG:4326, with pixels of 1/8 degree.
pub(crate) fn geographic(raster: RasterMeta) -> RasterMeta {
    RasterMeta {
        geotransform: [-60.0, 0.125, 0.0, 75.0, 0.0, -0.125],
        crs: Some(Crs {
            epsg: Some(4326),
            wkt1: WGS84_WKT1.into(),
            wkt2: WGS84_WKT2.into(),
            projected: false,
        }),
        ..raster
    }
}

/// The pixel of the full resolution at column `x` and row `y`.
pub(crate) fn value(raster: &RasterMeta, band: usize, x: u32, y: u32) -> f64 {
    if (x / TILE + y / TILE) % 3 == 2 {
        return fill(raster);
    }
    if raster.pixel.is_float() {
        return f64::from(x) * 0.25 + f64::from(y) + band as f64 * 1000.0;
    }
    match raster.classes.as_slice() {
        [] => f64::from((x + 3 * y) % 100 + band as u32),
        classes => classes[((x / 7 + y / 5) as usize + band) % classes.len()].value as f64,
    }
}

/// What a missing tile holds.
pub(crate) fn fill(raster: &RasterMeta) -> f64 {
    raster.nodata.map_or(0.0, |nodata| nodata.0)
}

/// Writes `zarr.json`, the raster files and the side files of an entry into `dir`.
pub(crate) fn write_entry(dir: &Path, meta: &EntryMeta) {
    write_group(dir, meta);
    for raster in &meta.rasters {
        write_raster(dir, raster);
    }
    for original in &meta.originals {
        let path = entry_dir::original_path(dir, &original.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![b'o'; original.size as usize]).unwrap();
    }
}

/// Writes only `zarr.json`.
pub(crate) fn write_group(dir: &Path, meta: &EntryMeta) {
    let group = serde_json::json!({"zarr_format": 3, "node_type": "group", "attributes": {"clmsfs": meta}});
    std::fs::write(entry_dir::group_path(dir), serde_json::to_vec_pretty(&group).unwrap()).unwrap();
}

/// Writes the array's `zarr.json` and its raster file.
pub(crate) fn write_raster(dir: &Path, raster: &RasterMeta) {
    let path = entry_dir::raster_path(dir, raster);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (width, height) = (u64::from(raster.width), u64::from(raster.height));
    let (rows, columns) = (raster.height.div_ceil(TILE), raster.width.div_ceil(TILE));
    let tile = u64::from(TILE);
    let (mut shape, mut chunk) = (vec![height, width], vec![tile, tile]);
    let mut shard = vec![u64::from(rows) * tile, u64::from(columns) * tile];
    if raster.bands.len() > 1 {
        shape.insert(0, raster.bands.len() as u64);
        shard.insert(0, raster.bands.len() as u64);
        chunk.insert(0, 1);
    }
    let fill = match fill(raster) {
        nan if nan.is_nan() => serde_json::json!("NaN"),
        fill if raster.pixel.is_float() => serde_json::json!(fill),
        fill => serde_json::json!(fill as i64),
    };
    let bytes = match raster.pixel.size() {
        1 => serde_json::json!({"name": "bytes"}),
        _ => serde_json::json!({"name": "bytes", "configuration": {"endian": "little"}}),
    };
    let codec = match raster.codec {
        Codec::Zstd { level } => {
            serde_json::json!({"name": "zstd", "configuration": {"level": level, "checksum": true}})
        }
        Codec::Zlib { level } => {
            serde_json::json!({"name": "numcodecs.zlib", "configuration": {"level": level}})
        }
    };
    let array = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": raster.pixel.zarr(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": chunk, "codecs": [bytes, codec],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end"}}],
        "attributes": {}
    });
    let text = serde_json::to_vec_pretty(&array).unwrap();
    std::fs::write(entry_dir::array_path(dir, raster), text).unwrap();
    std::fs::write(path, raster_file(raster)).unwrap();
}

/// Bytes of one decoded tile.
pub(crate) fn tile(raster: &RasterMeta, factor: u32, band: usize, row: u32, column: u32) -> Vec<u8> {
    let mut bytes = vec![];
    for y in row * TILE..(row + 1) * TILE {
        for x in column * TILE..(column + 1) * TILE {
            let inside = x * factor < raster.width && y * factor < raster.height;
            let value = if inside { value(raster, band, x * factor, y * factor) } else { fill(raster) };
            match raster.pixel {
                PixelType::Int8 => bytes.push(value as i8 as u8),
                PixelType::UInt8 => bytes.push(value as u8),
                PixelType::Int16 => bytes.extend((value as i16).to_le_bytes()),
                PixelType::UInt16 => bytes.extend((value as u16).to_le_bytes()),
                PixelType::Int32 => bytes.extend((value as i32).to_le_bytes()),
                PixelType::UInt32 => bytes.extend((value as u32).to_le_bytes()),
                PixelType::Float32 => bytes.extend((value as f32).to_le_bytes()),
                PixelType::Float64 => bytes.extend(value.to_le_bytes()),
            }
        }
    }
    bytes
}

fn encode(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Zstd { level } => {
            let mut encoder = zstd::stream::Encoder::new(vec![], level).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.set_pledged_src_size(Some(bytes.len() as u64)).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zlib { level } => {
            let level = libdeflater::CompressionLvl::new(level).unwrap();
            let mut compressor = libdeflater::Compressor::new(level);
            let mut out = vec![0; compressor.zlib_compress_bound(bytes.len())];
            let length = compressor.zlib_compress(bytes, &mut out).unwrap();
            out.truncate(length);
            out
        }
    }
}

/// One field of a directory: tag, type, number of values, their bytes.
type Field = (u16, u16, u64, Vec<u8>);

fn shorts(tag: u16, values: &[u16]) -> Field {
    (tag, 3, values.len() as u64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn longs(tag: u16, value: u32) -> Field {
    (tag, 4, 1, value.to_le_bytes().to_vec())
}

fn doubles(tag: u16, values: &[f64]) -> Field {
    (tag, 12, values.len() as u64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn long8s(tag: u16, values: &[u64]) -> Field {
    (tag, 16, values.len() as u64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// The bytes of a raster file: BigTIFF directories in front, coarse overviews, full resolution, shard index.
fn raster_file(raster: &RasterMeta) -> Vec<u8> {
    let mut levels = vec![(1, raster.width, raster.height)];
    levels.extend(raster.overviews.iter().map(|overview| (overview.factor, overview.width, overview.height)));
    let encoded: Vec<Vec<Option<Vec<u8>>>> = levels
        .iter()
        .map(|&(factor, width, height)| {
            let mut tiles = vec![];
            for band in 0..raster.bands.len() {
                for row in 0..height.div_ceil(TILE) {
                    for column in 0..width.div_ceil(TILE) {
                        let bytes = tile(raster, factor, band, row, column);
                        let pixel = raster.pixel.size();
                        let empty = bytes.chunks_exact(pixel).all(|chunk| {
                            let chunk = chunk.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
                            chunk == fill_bits(raster)
                        });
                        tiles.push((!empty).then(|| encode(raster.codec, &bytes)));
                    }
                }
            }
            tiles
        })
        .collect();

    // Directories do not change their size with the offsets in them: once to measure, once for good.
    let zero = encoded.iter().map(|tiles| vec![(0, 0); tiles.len()]).collect::<Vec<_>>();
    let mut position = head(raster, &levels, &zero).len() as u64;
    let mut ranges = zero;
    let mut data = vec![];
    for level in (0..levels.len()).rev() {
        for (range, bytes) in ranges[level].iter_mut().zip(&encoded[level]) {
            if let Some(bytes) = bytes {
                *range = (position, bytes.len() as u64);
                position += bytes.len() as u64;
                data.extend_from_slice(bytes);
            }
        }
    }
    let mut index = vec![];
    for &range in &ranges[0] {
        let (offset, length) = if range == (0, 0) { (u64::MAX, u64::MAX) } else { range };
        index.extend(offset.to_le_bytes());
        index.extend(length.to_le_bytes());
    }
    index.extend(crc32c::crc32c(&index).to_le_bytes());
    [head(raster, &levels, &ranges), data, index].concat()
}

/// The bits of a fill pixel as a little-endian number.
fn fill_bits(raster: &RasterMeta) -> u64 {
    let fill = fill(raster);
    match raster.pixel {
        PixelType::Float32 => u64::from((fill as f32).to_bits()),
        PixelType::Float64 => fill.to_bits(),
        _ => (fill as i64 as u64) & (u64::MAX >> (64 - 8 * raster.pixel.size())),
    }
}

fn head(raster: &RasterMeta, levels: &[(u32, u32, u32)], ranges: &[Vec<(u64, u64)>]) -> Vec<u8> {
    let mut out = vec![b'I', b'I', 43, 0, 8, 0, 0, 0];
    out.extend(16_u64.to_le_bytes());
    for (level, &(_, width, height)) in levels.iter().enumerate() {
        let fields = fields(raster, level, width, height, &ranges[level]);
        let after = out.len() as u64 + 8 + fields.len() as u64 * 20 + 8;
        let (mut directory, mut values) = (vec![], vec![]);
        for (tag, kind, count, bytes) in &fields {
            directory.extend(tag.to_le_bytes());
            directory.extend(kind.to_le_bytes());
            directory.extend(count.to_le_bytes());
            if bytes.len() <= 8 {
                directory.extend_from_slice(bytes);
                directory.extend(vec![0; 8 - bytes.len()]);
            } else {
                directory.extend((after + values.len() as u64).to_le_bytes());
                values.extend_from_slice(bytes);
            }
        }
        let next = if level + 1 == levels.len() { 0 } else { after + values.len() as u64 };
        out.extend((fields.len() as u64).to_le_bytes());
        out.extend(directory);
        out.extend(next.to_le_bytes());
        out.extend(values);
    }
    out
}

/// Fields of one directory in the order of their tags.
fn fields(raster: &RasterMeta, level: usize, width: u32, height: u32, ranges: &[(u64, u64)]) -> Vec<Field> {
    let bands = raster.bands.len();
    let format = match raster.pixel {
        PixelType::UInt8 | PixelType::UInt16 | PixelType::UInt32 => 1,
        PixelType::Int8 | PixelType::Int16 | PixelType::Int32 => 2,
        PixelType::Float32 | PixelType::Float64 => 3,
    };
    let compression = match raster.codec {
        Codec::Zstd { .. } => 50_000,
        Codec::Zlib { .. } => 8,
    };
    let (offsets, counts): (Vec<_>, Vec<_>) = ranges.iter().copied().unzip();
    let mut fields = vec![
        longs(254, u32::from(level > 0)),
        longs(256, width),
        longs(257, height),
        shorts(258, &vec![raster.pixel.size() as u16 * 8; bands]),
        shorts(259, &[compression]),
        shorts(262, &[1]),
        shorts(277, &[bands as u16]),
        shorts(284, &[if bands > 1 { 2 } else { 1 }]),
        shorts(322, &[TILE as u16]),
        shorts(323, &[TILE as u16]),
        long8s(324, &offsets),
        long8s(325, &counts),
    ];
    if bands > 1 {
        fields.push(shorts(338, &vec![0; bands - 1]));
    }
    fields.push(shorts(339, &vec![format; bands]));
    if level == 0 {
        let [x0, dx, _, y0, _, dy] = raster.geotransform;
        fields.push(doubles(33_550, &[dx, -dy, 0.0]));
        fields.push(doubles(33_922, &[0.0, 0.0, 0.0, x0, y0, 0.0]));
        let (model, key, code) = if raster.crs.as_ref().is_some_and(|crs| crs.projected) {
            (1, 3072, 3035)
        } else {
            (2, 2048, 4326)
        };
        fields.push(shorts(34_735, &[1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, key, 0, 1, code]));
    }
    if let Some(nodata) = raster.nodata {
        let text = if nodata.0.is_nan() { "nan\0".into() } else { format!("{}\0", nodata.0) };
        fields.push((42_113, 2, text.len() as u64, text.into_bytes()));
    }
    fields
}
