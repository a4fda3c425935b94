//! Extended attributes by the system calls themselves.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The value of an attribute.
///
/// # Errors
/// What the system says, ENODATA when there is no such attribute.
pub(crate) fn get(path: &Path, name: &str) -> io::Result<String> {
    let (path, name) = (c_path(path), CString::new(name).unwrap());
    let mut buffer = vec![0u8; 65_536];
    // SAFETY: both strings end with NUL, the buffer is as long as is said.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    match usize::try_from(length) {
        Ok(length) => Ok(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Sets an attribute.
///
/// # Errors
/// What the system says.
pub(crate) fn set(path: &Path, name: &str, value: &str) -> io::Result<()> {
    let (path, name) = (c_path(path), CString::new(name).unwrap());
    // SAFETY: both strings end with NUL, the value is as long as is said.
    let outcome =
        unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The names of all attributes.
///
/// # Errors
/// What the system says.
pub(crate) fn list(path: &Path) -> io::Result<Vec<String>> {
    let path = c_path(path);
    let mut buffer = vec![0u8; 65_536];
    // SAFETY: the string ends with NUL, the buffer is as long as is said.
    let length = unsafe { libc::listxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    Ok(buffer[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}
