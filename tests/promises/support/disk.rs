//! Small disks: a tmpfs, an ext4 in a file or an overlayfs, mounted as long as the test lives. Only root may make them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted small disk. Declare it before the mount that uses it.
pub(crate) struct SmallDisk {
    point: PathBuf,
}

impl SmallDisk {
    /// A tmpfs of so many bytes; `None` (with the reason printed) where it cannot be made.
    pub(crate) fn tmpfs(folder: &Path, bytes: u64) -> Option<Self> {
        Self::mount(folder, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    /// A file of `megabytes` with what `mkfs` (a program and its options) makes in it, mounted with `options`.
    pub(crate) fn image(folder: &Path, megabytes: u64, mkfs: &[&str], options: &str) -> Option<Self> {
        let image = folder.join("disk.img");
        File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        let made = Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image).output();
        match made {
            Ok(output) if output.status.success() => {}
            Ok(output) => return skip(&format!("{}: {}", mkfs[0], String::from_utf8_lossy(&output.stderr))),
            Err(error) => return skip(&format!("{}: {error}", mkfs[0])),
        }
        let options = if options.is_empty() { "loop".to_owned() } else { format!("loop,{options}") };
        Self::mount(folder, &["-o", &options, &image.to_string_lossy()])
    }

    /// An overlayfs over plain folders.
    pub(crate) fn overlay(folder: &Path) -> Option<Self> {
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| folder.join("overlay").join(name));
        for part in [&lower, &upper, &work] {
            std::fs::create_dir_all(part).unwrap();
        }
        let options = [("lowerdir", lower), ("upperdir", upper), ("workdir", work)];
        let options = options.map(|(name, path)| format!("{name}={}", path.display())).join(",");
        Self::mount(folder, &["-t", "overlay", "-o", &options, "overlay"])
    }

    fn mount(folder: &Path, arguments: &[&str]) -> Option<Self> {
        let point = folder.join("disk");
        std::fs::create_dir_all(&point).unwrap();
        let output = match Command::new("mount").args(arguments).arg(&point).output() {
            Ok(output) => output,
            Err(error) => return skip(&format!("mount: {error}")),
        };
        if !output.status.success() {
            return skip(&format!("mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Some(Self { point })
    }

    /// Its root.
    pub(crate) fn root(&self) -> &Path {
        &self.point
    }

    /// Where the cache may lie.
    pub(crate) fn cache(&self) -> PathBuf {
        self.point.join("cache")
    }

    /// Fills it with a file of others until nothing fits any more; that file is returned.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.point.join("others.bin");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        for size in [1 << 20, 1 << 16, 4096, 1] {
            let block = vec![7u8; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        super::mount::detach(&self.point);
    }
}

/// Says why a test cannot run here.
pub(crate) fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("SKIPPED: {}", reason.trim());
    None
}
