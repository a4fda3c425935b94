//! One source raster as GDAL sees it: the facts once, then windows of pixels.

use std::ffi::c_int;
use std::path::Path;

use gdal::raster::{PaletteInterpretation, RasterBand};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};
use jiff::Timestamp;

use super::claims;
use super::classes::{self, AttributeTable};
use super::error::IngestError;
use super::netcdf::{SliceReader, Slices};
use super::pixel::{Pixel, representable};
use super::place;
use crate::store::entry::{Crs, Number, PixelType};
use crate::store::variable::VariableMeta;

/// GDAL's `GDT_Int8`, by number because bindings older than 3.7 do not have it.
pub(super) const GDT_INT8: u32 = 14;

/// True when GDAL has a signed byte of its own.
pub(super) fn has_int8() -> bool {
    gdal::version::VersionInfo::version_num().parse().unwrap_or(0) >= 3_070_000
}

/// What is known of a source raster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SourceFacts {
    /// Path inside the package.
    pub(super) name: String,
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// The type of all bands.
    pub(super) pixel: PixelType,
    /// GDAL's affine transform, `None` when the source has none.
    pub(super) geotransform: Option<[f64; 6]>,
    /// CRS, `None` when the source has none.
    pub(super) crs: Option<Crs>,
    /// True when the pixel's centre is what the source calls the coordinate (`AREA_OR_POINT=Point`).
    pub(super) pixel_is_point: bool,
    /// Nodata of all bands; `None` also for a value no pixel of this type can have.
    pub(super) nodata: Option<Number>,
    /// Per band facts.
    pub(super) bands: Vec<SourceBand>,
    /// Size of the blocks the source is stored in.
    pub(super) block: (u32, u32),
    /// Colour table (UInt8, UInt16).
    pub(super) palette: Vec<[u8; 4]>,
    /// Raster attribute table of the first band.
    pub(super) attributes: Option<AttributeTable>,
    /// Category names of the first band, by value.
    pub(super) categories: Vec<String>,
    /// Which driver reads it, and how.
    pub(super) origin: Origin,
    /// When its bands are of, in their order; empty when nothing tells.
    pub(super) times: Vec<Timestamp>,
    /// What a netCDF variable says of itself.
    pub(super) variable: VariableMeta,
    /// True for a TIFF with further pages: of several, the first one is the raster.
    pub(super) has_more_pages: bool,
}

/// Where the pixels of a source come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// A TIFF.
    Tiff,
    /// A variable of a netCDF file.
    Netcdf(Slices),
}

/// Facts of one band of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SourceBand {
    /// Description or empty.
    pub(super) description: String,
    /// Unit or empty.
    pub(super) unit: String,
    /// Scale, when stated.
    pub(super) scale: Option<f64>,
    /// Offset, when stated.
    pub(super) offset: Option<f64>,
    /// What it is of a colour.
    pub(super) color: BandColor,
}

/// What a band is of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BandColor {
    /// Nothing, or nothing that TIFF has a word for.
    #[default]
    None,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// How opaque the others are.
    Alpha,
}

/// Opens a raster with the one driver that is allowed; `siblings` = look at `.aux.xml` and the like.
fn open(path: &Path, name: &str, siblings: bool) -> Result<Dataset, IngestError> {
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_RASTER | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&["GTiff"]),
        // An empty list means "this file stands alone".
        sibling_files: if siblings { None } else { Some(&[]) },
        ..DatasetOptions::default()
    };
    Dataset::open_ex(path, options).map_err(|error| IngestError::raster(name, error))
}

/// Reads the facts of a raster.
///
/// # Errors
/// [`IngestError::Raster`] when GDAL cannot open it, [`IngestError::Unsupported`] for pixel types and band
/// combinations that an entry cannot hold.
pub(super) fn inspect(path: &Path, name: &str) -> Result<SourceFacts, IngestError> {
    let unsupported = |reason: String| IngestError::Unsupported { name: name.to_owned(), reason };
    claims::check(path, name)?;
    let dataset = open(path, name, true)?;
    let (width, height) = dataset.raster_size();
    let count = dataset.raster_count();
    if count == 0 || width == 0 || height == 0 {
        return Err(unsupported("it has no band".to_owned()));
    }
    let mut pixel = None;
    let mut nodata: Option<Option<Number>> = None;
    let mut bands = Vec::new();
    for number in 1..=count {
        let band = dataset.rasterband(number).map_err(|error| IngestError::raster(name, error))?;
        let this = pixel_type(&band).map_err(&unsupported)?;
        if *pixel.get_or_insert(this) != this {
            return Err(unsupported(format!("band {number} has another pixel type than band 1")));
        }
        let value = stated_nodata(&band).and_then(|value| nodata_of(this, value));
        if *nodata.get_or_insert(value) != value {
            return Err(unsupported(format!("band {number} has another nodata value than band 1")));
        }
        bands.push(SourceBand {
            description: band.description().unwrap_or_default(),
            unit: band.unit(),
            scale: band.scale().filter(|value| value.is_finite()),
            offset: band.offset().filter(|value| value.is_finite()),
            color: color(&band),
        });
    }
    let first = dataset.rasterband(1).map_err(|error| IngestError::raster(name, error))?;
    let pixel = pixel.ok_or_else(|| unsupported("it has no band".to_owned()))?;
    let place = place::of(&dataset, path, name)?;
    let block = first.block_size();
    Ok(SourceFacts {
        name: name.to_owned(),
        width: side(width).map_err(&unsupported)?,
        height: side(height).map_err(&unsupported)?,
        pixel,
        geotransform: place.geotransform,
        crs: place.crs,
        pixel_is_point: dataset.metadata_item("AREA_OR_POINT", "").is_some_and(|value| value == "Point"),
        nodata: nodata.flatten(),
        bands,
        block: (side(block.0).map_err(&unsupported)?, side(block.1).map_err(&unsupported)?),
        palette: palette(&first, pixel),
        attributes: classes::attribute_table(&first),
        categories: classes::category_names(&first),
        origin: Origin::Tiff,
        times: Vec::new(),
        variable: VariableMeta::default(),
        has_more_pages: dataset.metadata_domain("SUBDATASETS").is_some_and(|pages| !pages.is_empty()),
    })
}

/// A side of a raster.
///
/// # Errors
/// When nobody could count it.
pub(super) fn side(pixels: usize) -> Result<u32, String> {
    // GDAL counts in c_int, and so do readers of the result.
    i32::try_from(pixels)
        .ok()
        .and_then(|pixels| u32::try_from(pixels).ok())
        .ok_or_else(|| format!("a side of {pixels} pixels"))
}

fn data_type(band: &RasterBand) -> u32 {
    // SAFETY: the band handle is valid as long as `band`.
    unsafe { gdal_sys::GDALGetRasterDataType(band.c_rasterband()) }
}

fn pixel_type(band: &RasterBand) -> Result<PixelType, String> {
    use gdal_sys::GDALDataType as Gdt;
    let number = data_type(band);
    let signed_byte =
        || band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").is_some_and(|value| value == "SIGNEDBYTE");
    Ok(match number {
        // GDAL before 3.7 says Byte and tells the sign in the metadata.
        Gdt::GDT_Byte if signed_byte() => PixelType::Int8,
        Gdt::GDT_Byte => PixelType::UInt8,
        GDT_INT8 => PixelType::Int8,
        Gdt::GDT_UInt16 => PixelType::UInt16,
        Gdt::GDT_Int16 => PixelType::Int16,
        Gdt::GDT_UInt32 => PixelType::UInt32,
        Gdt::GDT_Int32 => PixelType::Int32,
        // If every single value fits, which reading them proves.
        Gdt::GDT_Int64 => PixelType::Int32,
        Gdt::GDT_UInt64 => PixelType::UInt32,
        Gdt::GDT_Float32 => PixelType::Float32,
        Gdt::GDT_Float64 => PixelType::Float64,
        Gdt::GDT_CInt16 | Gdt::GDT_CInt32 | Gdt::GDT_CFloat32 | Gdt::GDT_CFloat64 => {
            return Err("its pixels are complex numbers".to_owned());
        }
        other => return Err(format!("pixels of GDAL's type {other}")),
    })
}

/// The nodata value that a band states; GDAL has functions of their own for those of 64 bit integers.
fn stated_nodata(band: &RasterBand) -> Option<f64> {
    use gdal_sys::GDALDataType as Gdt;
    let mut is_stated = 0;
    // SAFETY: the band handle is valid as long as `band`, and the flag is written to.
    let wide = unsafe {
        match data_type(band) {
            Gdt::GDT_Int64 => {
                gdal_sys::GDALGetRasterNoDataValueAsInt64(band.c_rasterband(), &mut is_stated) as f64
            }
            Gdt::GDT_UInt64 => {
                gdal_sys::GDALGetRasterNoDataValueAsUInt64(band.c_rasterband(), &mut is_stated) as f64
            }
            _ => return band.no_data_value(),
        }
    };
    (is_stated != 0).then_some(wide)
}

fn color(band: &RasterBand) -> BandColor {
    use gdal_sys::GDALColorInterp as Gci;
    // SAFETY: the band handle is valid as long as `band`.
    match unsafe { gdal_sys::GDALGetRasterColorInterpretation(band.c_rasterband()) } {
        Gci::GCI_RedBand => BandColor::Red,
        Gci::GCI_GreenBand => BandColor::Green,
        Gci::GCI_BlueBand => BandColor::Blue,
        Gci::GCI_AlphaBand => BandColor::Alpha,
        _ => BandColor::None,
    }
}

/// A nodata value as pixels of this type hold it. Writers disagree on signed bytes: -128 is also given as 128.
fn nodata_of(pixel: PixelType, value: f64) -> Option<Number> {
    let value =
        if pixel == PixelType::Int8 && (128.0..256.0).contains(&value) { value - 256.0 } else { value };
    representable(pixel, value)
}

fn palette(band: &RasterBand, pixel: PixelType) -> Vec<[u8; 4]> {
    let entries = match pixel {
        PixelType::UInt8 => 256,
        PixelType::UInt16 => 65_536,
        _ => return Vec::new(),
    };
    let Some(table) =
        band.color_table().filter(|t| t.palette_interpretation() == PaletteInterpretation::Rgba)
    else {
        return Vec::new();
    };
    let byte = |value: i16| value.clamp(0, 255) as u8;
    let palette: Vec<[u8; 4]> = (0..table.entry_count().min(entries))
        .map_while(|index| table.entry_as_rgb(index))
        .map(|entry| [byte(entry.r), byte(entry.g), byte(entry.b), byte(entry.a)])
        .collect();
    if pixel == PixelType::UInt16 {
        // 65 536 entries of which a few hundred are used: the rest says nothing.
        return classes::used(&palette).to_vec();
    }
    palette
}

/// An open source, for one thread.
#[derive(Debug)]
pub(super) struct SourceReader {
    pixels: Pixels,
    name: String,
}

#[derive(Debug)]
enum Pixels {
    Tiff(Dataset),
    Netcdf(Box<SliceReader>),
}

/// A window of a source and where it goes in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Left column in the source.
    pub(super) x: usize,
    /// Upper row in the source.
    pub(super) y: usize,
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

impl SourceReader {
    /// Opens a source for reading pixels.
    ///
    /// # Errors
    /// [`IngestError::Raster`].
    pub(super) fn open(path: &Path, name: &str, origin: &Origin) -> Result<Self, IngestError> {
        let pixels = match origin {
            Origin::Tiff => Pixels::Tiff(open(path, name, false)?),
            Origin::Netcdf(slices) => Pixels::Netcdf(Box::new(SliceReader::open(path, name, slices)?)),
        };
        Ok(Self { pixels, name: name.to_owned() })
    }

    /// Reads a window into `buffer`, whose rows are `stride` pixels apart and whose first pixel is the window's.
    ///
    /// # Errors
    /// [`IngestError::Raster`] when a block is damaged.
    pub(super) fn read<T: Pixel>(
        &self,
        band: u32,
        window: Window,
        buffer: &mut [T],
        stride: usize,
    ) -> Result<(), IngestError> {
        let dataset = match &self.pixels {
            Pixels::Tiff(dataset) => dataset,
            Pixels::Netcdf(reader) => return reader.read(band, window, buffer, stride),
        };
        let Window { width, height, .. } = window;
        let fits = width <= stride && height > 0 && buffer.len() >= (height - 1) * stride + width;
        if !fits {
            return Err(IngestError::raster(&*self.name, "window does not fit its buffer"));
        }
        let band = dataset.rasterband(band as usize + 1).map_err(|e| IngestError::raster(&*self.name, e))?;
        match data_type(&band) {
            gdal_sys::GDALDataType::GDT_Int64 => {
                self.narrow::<i64, T>(&band, window, buffer, stride, |v| v as f64)
            }
            gdal_sys::GDALDataType::GDT_UInt64 => {
                self.narrow::<u64, T>(&band, window, buffer, stride, |v| v as f64)
            }
            // SAFETY: the buffer type has the size of T, which is one of the primitive number types.
            source => unsafe { self.read_as(&band, window, buffer, stride, buffer_type(T::TYPE, source)) },
        }
    }

    /// Reads integers of 64 bits into pixels that every single one must fit into. Rounding beyond 2^53 does no harm:
    /// nothing there fits into 32 bits.
    fn narrow<S: Number64, T: Pixel>(
        &self,
        band: &RasterBand,
        window: Window,
        buffer: &mut [T],
        stride: usize,
        value: impl Fn(S) -> f64,
    ) -> Result<(), IngestError> {
        let mut wide = vec![S::default(); window.width * window.height];
        // SAFETY: S is the type that is named.
        unsafe { self.read_as(band, window, &mut wide, window.width, S::GDT)? };
        for (row, stored) in wide.chunks_exact(window.width).enumerate() {
            for (pixel, &stored) in buffer[row * stride..].iter_mut().zip(stored) {
                let value = value(stored);
                *pixel = T::exact(value).ok_or_else(|| IngestError::Unsupported {
                    name: self.name.clone(),
                    reason: format!(
                        "it has integers of 64 bits, and the value {value} among them does not fit into {}",
                        T::TYPE.zarr()
                    ),
                })?;
            }
        }
        Ok(())
    }

    /// Reads a window whose place in the buffer has been checked.
    ///
    /// # Safety
    /// `T` is a primitive number of the size of GDAL's type `gdt`.
    unsafe fn read_as<T: Copy>(
        &self,
        band: &RasterBand,
        window: Window,
        buffer: &mut [T],
        stride: usize,
        gdt: u32,
    ) -> Result<(), IngestError> {
        let Window { x, y, width, height } = window;
        let int = |value: usize| c_int::try_from(value).map_err(|e| IngestError::raster(&*self.name, e));
        let line = (stride * size_of::<T>()) as i64;
        // SAFETY: the band is valid, the buffer holds `height` lines of `width` pixels `line` bytes apart
        // (checked by the caller), and the buffer type has the size of T (the caller's promise).
        let status = unsafe {
            gdal_sys::CPLErrorReset();
            gdal_sys::GDALRasterIOEx(
                band.c_rasterband(),
                gdal_sys::GDALRWFlag::GF_Read,
                int(x)?,
                int(y)?,
                int(width)?,
                int(height)?,
                buffer.as_mut_ptr().cast(),
                int(width)?,
                int(height)?,
                gdt,
                size_of::<T>() as i64,
                line,
                std::ptr::null_mut(),
            )
        };
        if status == gdal_sys::CPLErr::CE_None {
            return Ok(());
        }
        // SAFETY: GDAL gives a C string that stays valid until the next error of this thread.
        let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
        Err(IngestError::raster(&*self.name, message.to_string_lossy()))
    }
}

/// An integer of 64 bits and GDAL's name of it.
trait Number64: Copy + Default {
    const GDT: u32;
}

impl Number64 for i64 {
    const GDT: u32 = gdal_sys::GDALDataType::GDT_Int64;
}

impl Number64 for u64 {
    const GDT: u32 = gdal_sys::GDALDataType::GDT_UInt64;
}

/// The buffer type that gives pixels as they are: signed bytes are read as what the source calls them.
fn buffer_type(pixel: PixelType, source: u32) -> u32 {
    use gdal_sys::GDALDataType as Gdt;
    match pixel {
        PixelType::Int8 | PixelType::UInt8 => source,
        PixelType::Int16 => Gdt::GDT_Int16,
        PixelType::UInt16 => Gdt::GDT_UInt16,
        PixelType::Int32 => Gdt::GDT_Int32,
        PixelType::UInt32 => Gdt::GDT_UInt32,
        PixelType::Float32 => Gdt::GDT_Float32,
        PixelType::Float64 => Gdt::GDT_Float64,
    }
}
