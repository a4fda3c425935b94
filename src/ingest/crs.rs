//! From GDAL's spatial reference to the entry's [`Crs`].

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use gdal::errors::Result;
use gdal::spatial_ref::SpatialRef;

use crate::store::entry::Crs;

/// Describes a CRS. Aliases of an EPSG CRS (the FME service writes `IGNF:ETRS89LAEA` or a nameless LAEA for
/// EPSG:3035) are described by the EPSG definition, so that every reader finds the code.
pub(super) fn describe(source: &SpatialRef) -> Result<Crs> {
    let epsg = epsg_code(source);
    let normal = epsg.and_then(|code| SpatialRef::from_epsg(code).ok());
    let srs = normal.as_ref().unwrap_or(source);
    let wkt2 = export(srs, c"WKT2_2019").or_else(|| srs.to_wkt().ok()).unwrap_or_default();
    let wkt1 = export(srs, c"WKT1_GDAL").or_else(|| srs.to_wkt().ok()).unwrap_or_default();
    Ok(Crs { epsg, wkt1, wkt2, projected: srs.is_projected() || srs.is_local() })
}

fn epsg_code(source: &SpatialRef) -> Option<u32> {
    let stated = |srs: &SpatialRef| {
        let is_epsg = srs.auth_name().is_some_and(|name| name.eq_ignore_ascii_case("EPSG"));
        is_epsg.then(|| srs.auth_code().ok().and_then(|code| u32::try_from(code).ok())).flatten()
    };
    if let Some(code) = stated(source) {
        return Some(code);
    }
    // The code of its horizontal part would lose the vertical one.
    if source.is_compound() {
        return None;
    }
    if is_laea_europe(source) {
        return Some(3035);
    }
    // A CRS under another authority keeps its own name: AutoIdentifyEPSG only looks at nameless ones.
    if source.auth_name().is_some() {
        return None;
    }
    let mut guess = source.clone();
    guess.auto_identify_epsg().ok()?;
    stated(&guess).filter(|&code| SpatialRef::from_epsg(code).is_ok_and(|epsg| epsg == *source))
}

/// The parameters of EPSG:3035, whatever the CRS is called.
fn is_laea_europe(srs: &SpatialRef) -> bool {
    let parameter = |name: &str, expected: f64| {
        srs.get_proj_param(name).ok().flatten().is_some_and(|found| (found - expected).abs() < 1e-9)
    };
    let projection = srs.get_attr_value("PROJECTION", 0).ok().flatten();
    let datum = srs.get_attr_value("DATUM", 0).ok().flatten().unwrap_or_default();
    let names = format!("{} {datum}", srs.name().unwrap_or_default()).to_ascii_uppercase();
    projection.as_deref() == Some("Lambert_Azimuthal_Equal_Area")
        && ["ETRS", "EUROPEAN_TERRESTRIAL", "RGF", "IGNF"].iter().any(|name| names.contains(name))
        && parameter("latitude_of_center", 52.0)
        && parameter("longitude_of_center", 10.0)
        && parameter("false_easting", 4_321_000.0)
        && parameter("false_northing", 3_210_000.0)
        && srs.semi_major().is_ok_and(|axis| (axis - 6_378_137.0).abs() < 1e-3)
        && srs.semi_minor().is_ok_and(|axis| (axis - 6_356_752.314).abs() < 1e-2)
        && (srs.linear_units() - 1.0).abs() < 1e-12
}

fn export(srs: &SpatialRef, format: &CStr) -> Option<String> {
    let format = CString::new(format!("FORMAT={}", format.to_str().ok()?)).ok()?;
    let options: [*const c_char; 2] = [format.as_ptr(), ptr::null()];
    let mut text: *mut c_char = ptr::null_mut();
    // SAFETY: the handle lives as long as `srs`; the options are a null-terminated list of C strings that
    // outlives the call; on success `text` is a C string that we own.
    let status = unsafe { gdal_sys::OSRExportToWktEx(srs.to_c_hsrs(), &mut text, options.as_ptr()) };
    if text.is_null() {
        return None;
    }
    // SAFETY: `text` is not null and points to a C string made by GDAL.
    let wkt = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: GDAL's strings are freed by VSIFree, once.
    unsafe { gdal_sys::VSIFree(text.cast()) };
    (status == gdal_sys::OGRErr::OGRERR_NONE && !wkt.is_empty()).then_some(wkt)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn epsg_survives() {
        let crs = describe(&SpatialRef::from_epsg(3035).unwrap()).unwrap();
        assert_eq!((crs.epsg, crs.projected), (Some(3035), true));
        assert!(crs.wkt1.starts_with("PROJCS[") && crs.wkt2.starts_with("PROJCRS["));
        let crs = describe(&SpatialRef::from_epsg(4326).unwrap()).unwrap();
        assert_eq!((crs.epsg, crs.projected), (Some(4326), false));
    }

    #[test]
    fn aliases_of_3035_are_found() {
        for definition in [
            "IGNF:ETRS89LAEA",
            r#"PROJCS["ETRS89_LAEA",GEOGCS["ETRS89",DATUM["European_Terrestrial_Reference_System_1989",
               SPHEROID["GRS 1980",6378137,298.257222101]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],
               PROJECTION["Lambert_Azimuthal_Equal_Area"],PARAMETER["latitude_of_center",52],
               PARAMETER["longitude_of_center",10],PARAMETER["false_easting",4321000],
               PARAMETER["false_northing",3210000],UNIT["metre",1]]"#,
        ] {
            let srs = SpatialRef::from_definition(definition).unwrap();
            let crs = describe(&srs).unwrap();
            assert_eq!(crs.epsg, Some(3035), "{definition}");
            assert!(crs.wkt1.contains(r#"AUTHORITY["EPSG","3035"]"#));
        }
    }

    #[test]
    fn heights_keep_their_reference() {
        let crs = describe(&SpatialRef::from_definition("EPSG:3035+5730").unwrap()).unwrap();
        assert_eq!((crs.epsg, crs.projected), (None, true));
        assert!(crs.wkt2.contains("LAEA") && crs.wkt2.contains("EVRF2000"), "{}", crs.wkt2);
        let crs = describe(&SpatialRef::from_definition("EPSG:7409").unwrap()).unwrap();
        assert_eq!(crs.epsg, Some(7409));
    }

    #[test]
    fn a_custom_crs_keeps_its_wkt() {
        let srs = SpatialRef::from_proj4("+proj=laea +lat_0=45 +lon_0=11 +ellps=bessel +units=m").unwrap();
        let crs = describe(&srs).unwrap();
        assert_eq!(crs.epsg, None);
        assert!(crs.wkt1.contains("Lambert_Azimuthal_Equal_Area"));
    }
}
