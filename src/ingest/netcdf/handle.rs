//! A netCDF file through GDAL's multidimensional interface: arrays as they are stored.
//!
//! GDAL's raster interface to netCDF turns rows round, replaces what is outside `valid_range` and makes up nodata
//! values; this one does none of it.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};
use gdal_sys::GDALDataType as Gdt;

use super::attributes::{Attribute, Attributes};
use crate::ingest::error::IngestError;
use crate::ingest::pixel::Pixel;
use crate::ingest::source::GDT_INT8;

/// Most numbers of an attribute that are looked at; a list of classes has a few hundred.
const LARGEST_ATTRIBUTE: u64 = 65_536;
/// How deep groups are looked into.
const MOST_GROUPS: usize = 8;
/// GDAL's class of types for numbers.
const NUMERIC: u32 = gdal_sys::GDALExtendedDataTypeClass::GEDTC_NUMERIC;
/// GDAL's class of types for texts.
const STRING: u32 = gdal_sys::GDALExtendedDataTypeClass::GEDTC_STRING;

/// What an array is made of, as GDAL presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float32,
    Float64,
}

impl Element {
    /// GDAL's name of it, and its bytes.
    fn gdt(self) -> (u32, usize) {
        match self {
            Self::Int8 => (GDT_INT8, 1),
            Self::UInt8 => (Gdt::GDT_Byte, 1),
            Self::Int16 => (Gdt::GDT_Int16, 2),
            Self::UInt16 => (Gdt::GDT_UInt16, 2),
            Self::Int32 => (Gdt::GDT_Int32, 4),
            Self::UInt32 => (Gdt::GDT_UInt32, 4),
            Self::Int64 => (Gdt::GDT_Int64, 8),
            Self::UInt64 => (Gdt::GDT_UInt64, 8),
            Self::Float32 => (Gdt::GDT_Float32, 4),
            Self::Float64 => (Gdt::GDT_Float64, 8),
        }
    }
}

/// A number type in memory that GDAL can read into.
pub(super) trait Number: Copy + Default {
    /// GDAL's name of it.
    const GDT: u32;
}

macro_rules! number {
    ($($type:ty = $gdt:expr),*) => { $(impl Number for $type { const GDT: u32 = $gdt; })* };
}
number!(i16 = Gdt::GDT_Int16, i64 = Gdt::GDT_Int64, u64 = Gdt::GDT_UInt64, f64 = Gdt::GDT_Float64);

/// An open netCDF file.
#[derive(Debug)]
pub(super) struct File {
    group: gdal_sys::GDALGroupH,
    name: String,
    // Behind the group, so that it is closed last.
    _dataset: Dataset,
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and not used afterwards.
        unsafe { gdal_sys::GDALGroupRelease(self.group) };
    }
}

impl File {
    /// Opens a file with the netCDF driver and no other. `name` is for messages.
    ///
    /// # Errors
    /// [`IngestError::Raster`].
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, IngestError> {
        let options = DatasetOptions {
            open_flags: GdalOpenFlags::GDAL_OF_MULTIDIM_RASTER | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
            allowed_drivers: Some(&["netCDF"]),
            sibling_files: Some(&[]),
            ..DatasetOptions::default()
        };
        let dataset = Dataset::open_ex(path, options).map_err(|error| {
            let error = error.to_string().replace(&*path.to_string_lossy(), name);
            let reason = format!(
                "it is no netCDF, is damaged, or has more in its header than the conversion's memory holds ({error})"
            );
            IngestError::raster(name, reason)
        })?;
        // SAFETY: the dataset is open; the group keeps what it needs of it alive and is released once, in Drop.
        let group = unsafe { gdal_sys::GDALDatasetGetRootGroup(dataset.c_dataset()) };
        if group.is_null() {
            return Err(IngestError::raster(name, "GDAL gives no group of variables"));
        }
        Ok(Self { group, name: name.to_owned(), _dataset: dataset })
    }

    /// Paths of the variables, those of a group behind those around it, in the order of the file: `v`, `group/v`.
    pub(super) fn array_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        // SAFETY: the group is open as long as `self`.
        unsafe { collect_names(self.group, "", 0, &mut names) };
        names
    }

    /// Opens a variable.
    ///
    /// # Errors
    /// [`IngestError::Raster`].
    pub(super) fn array(&self, variable: &str) -> Result<Array, IngestError> {
        let failed =
            |reason: String| IngestError::raster(&*self.name, format!("variable '{variable}': {reason}"));
        let name = CString::new(format!("/{variable}")).map_err(|error| failed(error.to_string()))?;
        // SAFETY: the group is open and the name a C string; the array is released once, in its Drop.
        let handle = unsafe {
            gdal_sys::CPLErrorReset();
            gdal_sys::GDALGroupOpenMDArrayFromFullname(self.group, name.as_ptr(), ptr::null_mut())
        };
        if handle.is_null() {
            return Err(failed(last_error()));
        }
        Ok(Array { handle, name: self.name.clone(), variable: variable.to_owned() })
    }
}

/// Adds the paths of all variables of a group and of those below it.
///
/// # Safety
/// `group` is open.
unsafe fn collect_names(group: gdal_sys::GDALGroupH, path: &str, depth: usize, names: &mut Vec<String>) {
    let options = show_all();
    // SAFETY: the group is open; both lists are copied and freed once; a group that is opened is released once.
    unsafe {
        let own = gdal_sys::GDALGroupGetMDArrayNames(group, options.as_ptr().cast_mut().cast());
        names.extend(take_list(own).into_iter().map(|name| format!("{path}{name}")));
        if depth >= MOST_GROUPS {
            return;
        }
        for name in take_list(gdal_sys::GDALGroupGetGroupNames(group, ptr::null_mut())) {
            let Ok(c_name) = CString::new(name.as_str()) else { continue };
            let inner = gdal_sys::GDALGroupOpenGroup(group, c_name.as_ptr(), ptr::null_mut());
            if !inner.is_null() {
                collect_names(inner, &format!("{path}{name}/"), depth + 1, names);
                gdal_sys::GDALGroupRelease(inner);
            }
        }
    }
}

/// Copies a list of texts and frees it.
///
/// # Safety
/// `list` is null or a null-terminated list of C strings that nobody uses afterwards.
unsafe fn take_list(list: *mut *mut c_char) -> Vec<String> {
    let mut texts = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        let mut next = list;
        while !next.is_null() && !(*next).is_null() {
            texts.push(CStr::from_ptr(*next).to_string_lossy().into_owned());
            next = next.add(1);
        }
        gdal_sys::CSLDestroy(list);
    }
    texts
}

/// GDAL hides coordinates and what it has functions of its own for, unless told otherwise.
fn show_all() -> [*const c_char; 3] {
    [c"SHOW_ALL=YES".as_ptr(), c"SHOW_ZERO_DIM=YES".as_ptr(), ptr::null()]
}

fn last_error() -> String {
    // SAFETY: GDAL gives a C string that stays valid until the next error of this thread.
    unsafe { CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) }.to_string_lossy().into_owned()
}

/// An open variable.
#[derive(Debug)]
pub(super) struct Array {
    handle: gdal_sys::GDALMDArrayH,
    name: String,
    variable: String,
}

impl Drop for Array {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and not used afterwards.
        unsafe { gdal_sys::GDALMDArrayRelease(self.handle) };
    }
}

impl Array {
    /// Paths and lengths of its dimensions, the slowest first.
    pub(super) fn dimensions(&self) -> Vec<(String, u64)> {
        let mut count = 0;
        // SAFETY: the array is open; the list has `count` dimensions and is released once, names are copied.
        unsafe {
            let list = gdal_sys::GDALMDArrayGetDimensions(self.handle, &mut count);
            if list.is_null() {
                return Vec::new();
            }
            let dimensions = (0..count)
                .map(|number| {
                    let dimension = *list.add(number);
                    let path = CStr::from_ptr(gdal_sys::GDALDimensionGetFullName(dimension));
                    let path = path.to_string_lossy().trim_start_matches('/').to_owned();
                    (path, gdal_sys::GDALDimensionGetSize(dimension))
                })
                .collect();
            gdal_sys::GDALReleaseDimensions(list, count);
            dimensions
        }
    }

    /// What it is made of; `None` for texts and structures.
    pub(super) fn element(&self) -> Option<Element> {
        // SAFETY: the array is open; the type is released once.
        let (class, number) = unsafe { class_of(gdal_sys::GDALMDArrayGetDataType(self.handle)) };
        if class != NUMERIC {
            return None;
        }
        Some(match number {
            GDT_INT8 => Element::Int8,
            Gdt::GDT_Byte => Element::UInt8,
            Gdt::GDT_Int16 => Element::Int16,
            Gdt::GDT_UInt16 => Element::UInt16,
            Gdt::GDT_Int32 => Element::Int32,
            Gdt::GDT_UInt32 => Element::UInt32,
            Gdt::GDT_Int64 => Element::Int64,
            Gdt::GDT_UInt64 => Element::UInt64,
            Gdt::GDT_Float32 => Element::Float32,
            Gdt::GDT_Float64 => Element::Float64,
            _ => return None,
        })
    }

    /// Shape of the chunks it is stored in, 0 where it is not stored in chunks.
    pub(super) fn chunks(&self) -> Vec<u64> {
        let mut count = 0;
        // SAFETY: the array is open; the list has `count` numbers and is freed once.
        unsafe {
            let list = gdal_sys::GDALMDArrayGetBlockSize(self.handle, &mut count);
            if list.is_null() {
                return Vec::new();
            }
            let chunks = std::slice::from_raw_parts(list, count).to_vec();
            gdal_sys::VSIFree(list.cast());
            chunks
        }
    }

    /// The attributes of these names that it has.
    ///
    /// # Errors
    /// [`IngestError::Unsupported`] for lists of numbers without end.
    pub(super) fn attributes(&self, names: &[&str]) -> Result<Attributes, IngestError> {
        let mut attributes = Attributes::default();
        for &name in names {
            if let Some(value) = self.attribute(name)? {
                attributes.insert(name, value);
            }
        }
        Ok(attributes)
    }

    fn attribute(&self, name: &str) -> Result<Option<Attribute>, IngestError> {
        let Ok(c_name) = CString::new(name) else { return Ok(None) };
        // SAFETY: the array is open and the name a C string; the attribute is released below, once.
        let attribute = unsafe { gdal_sys::GDALMDArrayGetAttribute(self.handle, c_name.as_ptr()) };
        if attribute.is_null() {
            return Ok(None);
        }
        // SAFETY: the attribute is open until it is released at the end; lists have the lengths GDAL gives and are
        // freed once; the text is copied before the attribute goes.
        unsafe {
            let (class, _) = class_of(gdal_sys::GDALAttributeGetDataType(attribute));
            let length = gdal_sys::GDALAttributeGetTotalElementsCount(attribute);
            let value = if length > LARGEST_ATTRIBUTE {
                let reason =
                    format!("attribute '{name}' of variable '{}' has {length} values", self.variable);
                Err(IngestError::Unsupported { name: self.name.clone(), reason })
            } else if class == NUMERIC {
                let mut count = 0;
                let list = gdal_sys::GDALAttributeReadAsDoubleArray(attribute, &mut count);
                let numbers = if list.is_null() {
                    Vec::new()
                } else {
                    std::slice::from_raw_parts(list, count).to_vec()
                };
                gdal_sys::VSIFree(list.cast());
                Ok(Some(Attribute::Numbers(numbers)))
            } else if class == STRING {
                let text = gdal_sys::GDALAttributeReadAsString(attribute);
                let text = (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
                Ok(text.map(Attribute::Text))
            } else {
                Ok(None)
            };
            gdal_sys::GDALAttributeRelease(attribute);
            value
        }
    }

    /// The CRS of its grid mapping, as far as GDAL understands it.
    pub(super) fn spatial_ref(&self) -> Option<SpatialRef> {
        // SAFETY: the array is open; the reference is cloned and released once.
        unsafe {
            let srs = gdal_sys::GDALMDArrayGetSpatialRef(self.handle);
            if srs.is_null() {
                return None;
            }
            let copy = SpatialRef::from_c_obj(srs).ok();
            gdal_sys::OSRRelease(srs);
            copy
        }
    }

    /// Reads a block into `buffer`, in C order: `count[d]` elements from `start[d]` on along dimension d.
    ///
    /// # Errors
    /// [`IngestError::Raster`] when a chunk is damaged.
    pub(super) fn read<T: Number>(
        &self,
        start: &[u64],
        count: &[usize],
        buffer: &mut [T],
    ) -> Result<(), IngestError> {
        // SAFETY: T is the number type that GDT names.
        unsafe { self.read_as(T::GDT, start, count, buffer) }
    }

    /// Reads a block as pixels with the bits of the stored elements, whatever GDAL calls their type.
    ///
    /// # Errors
    /// As [`Array::read`].
    pub(super) fn read_bits<T: Pixel>(
        &self,
        element: Element,
        start: &[u64],
        count: &[usize],
        buffer: &mut [T],
    ) -> Result<(), IngestError> {
        let (gdt, size) = element.gdt();
        if size != size_of::<T>() {
            return Err(self.failed("its elements are not of the pixels' size"));
        }
        // SAFETY: every bit pattern of a number of this size is a T, which is one of the primitive number types.
        unsafe { self.read_as(gdt, start, count, buffer) }
    }

    /// # Safety
    /// `T` is a primitive number of the size of GDAL's type `gdt`.
    unsafe fn read_as<T: Copy>(
        &self,
        gdt: u32,
        start: &[u64],
        count: &[usize],
        buffer: &mut [T],
    ) -> Result<(), IngestError> {
        let wanted = count.iter().try_fold(1usize, |product, &count| product.checked_mul(count));
        // SAFETY: only asks for the number of dimensions of an open array.
        let dimensions = unsafe { gdal_sys::GDALMDArrayGetDimensionCount(self.handle) };
        if wanted != Some(buffer.len()) || start.len() != dimensions || count.len() != dimensions {
            return Err(self.failed("a block does not fit its buffer"));
        }
        // SAFETY: start and count have one number per dimension, the buffer holds the block in C order (checked
        // above) in the type that is named (the caller's promise); null steps and strides mean "adjacent". The
        // type is released once.
        let done = unsafe {
            gdal_sys::CPLErrorReset();
            let kind = gdal_sys::GDALExtendedDataTypeCreate(gdt);
            let done = gdal_sys::GDALMDArrayRead(
                self.handle,
                start.as_ptr(),
                count.as_ptr(),
                ptr::null(),
                ptr::null(),
                kind,
                buffer.as_mut_ptr().cast(),
                buffer.as_mut_ptr().cast(),
                size_of_val(buffer),
            );
            gdal_sys::GDALExtendedDataTypeRelease(kind);
            done
        };
        if done == 0 { Err(self.failed(&last_error())) } else { Ok(()) }
    }

    fn failed(&self, reason: &str) -> IngestError {
        // The library keeps its own reason to itself.
        let unsaid = "it is damaged, or compressed in a way that this machine's netCDF library does not know";
        let reason = if reason.is_empty() { unsaid } else { reason };
        IngestError::raster(&*self.name, format!("variable '{}': {reason}", self.variable))
    }
}

/// Class and number of a type, which is released.
///
/// # Safety
/// `kind` is null or a type that nobody uses afterwards.
unsafe fn class_of(kind: gdal_sys::GDALExtendedDataTypeH) -> (u32, u32) {
    if kind.is_null() {
        return (u32::MAX, 0);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let class = gdal_sys::GDALExtendedDataTypeGetClass(kind);
        let number = gdal_sys::GDALExtendedDataTypeGetNumericDataType(kind);
        gdal_sys::GDALExtendedDataTypeRelease(kind);
        (class, number)
    }
}

/// True when a variable that GDAL presents as Int16 is stored as signed bytes: before 3.7 GDAL's multidimensional
/// interface has no signed byte, and only its raster interface tells. Where that cannot be asked (a quote in the
/// path of the cache, a colon in the variable's name) the pixels stay Int16, with the same values.
pub(super) fn is_signed_byte(path: &Path, variable: &str) -> bool {
    let Some(path) = path.to_str() else { return false };
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_RASTER,
        allowed_drivers: Some(&["netCDF"]),
        sibling_files: Some(&[]),
        ..DatasetOptions::default()
    };
    let Ok(dataset) = Dataset::open_ex(format!("NETCDF:\"{path}\":{variable}"), options) else {
        return false;
    };
    let Ok(band) = dataset.rasterband(1) else { return false };
    // SAFETY: the band handle is valid as long as `band`.
    let kind = unsafe { gdal_sys::GDALGetRasterDataType(band.c_rasterband()) };
    kind == GDT_INT8 || kind == Gdt::GDT_Byte && band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").is_some()
}
