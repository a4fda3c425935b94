//! Readers that check every byte they get, and count the errors.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Product, World};
use crate::support::content::{Content, SIDE_FILE};
use crate::support::process;
use crate::support::random::Random;

/// What was read.
#[derive(Default)]
pub(crate) struct Tally {
    reads: AtomicU64,
    bytes: AtomicU64,
    /// Errors while the daemon ran, by what was read and the error; and while it was being replaced.
    errors: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
    /// SHA-256 of GeoTIFFs that were proven to be right.
    proven: Mutex<HashSet<[u8; 32]>>,
}

impl Tally {
    fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn failed(&self, what: &str, error: &str) {
        *self.errors.lock().unwrap().entry(format!("{what}: {error}")).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    pub(crate) fn report(&self) {
        let (reads, bytes) = (self.reads.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        println!("  {reads} reads of {bytes} bytes were right; errors:");
        for (what, times) in self.errors.lock().unwrap().iter() {
            println!("    {times:5}  {what}");
        }
    }

    #[track_caller]
    pub(crate) fn assert_right(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong answers: {wrong:#?}", wrong.len());
        assert!(self.reads.load(Ordering::Relaxed) > 20, "next to nothing was read");
    }
}

/// How a product is read.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tif,
    Mapped,
    Chunk,
    SideFile,
    Listing,
}

/// Reads products at random until the end.
pub(crate) fn read_on(world: &World, mut random: Random, number: u64) {
    while !world.end.load(Ordering::SeqCst) {
        if world.rest.load(Ordering::SeqCst) {
            world.resting.fetch_add(1, Ordering::SeqCst);
            while world.rest.load(Ordering::SeqCst) && !world.end.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            world.resting.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let product = &world.products[random.below(world.products.len() as u64) as usize];
        let ways = [Way::Tif, Way::Tif, Way::Mapped, Way::Chunk, Way::Chunk, Way::SideFile, Way::Listing];
        let way = random.pick(&ways).expect("there are some");
        let epoch = world.epoch.load(Ordering::SeqCst);
        let result = read(world, product, way, &mut random, number);
        let steady = epoch % 2 == 0 && world.epoch.load(Ordering::SeqCst) == epoch;
        match result {
            Ok(bytes) => world.tally.read(bytes),
            Err(Trouble::Wrong(what)) => world.tally.wrong(format!("{}: {way:?}: {what}", product.name)),
            Err(Trouble::Failed(error)) if steady => world.tally.failed(&format!("{way:?}"), &error),
            Err(Trouble::Failed(_)) => world.tally.failed("while the daemon was replaced", "any"),
        }
        // The pace of a user; a failed product is answered at once, and asking it again and again proves nothing.
        std::thread::sleep(Duration::from_millis(random.below(25)));
    }
}

enum Trouble {
    /// An honest error.
    Failed(String),
    /// Success with wrong bytes.
    Wrong(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn read(
    world: &World,
    product: &Product,
    way: Way,
    random: &mut Random,
    number: u64,
) -> Result<usize, Trouble> {
    let folder = world.data.join(&product.name);
    let tif = folder.join(format!("{}.tif", product.name));
    match way {
        Way::Tif => {
            let bytes = std::fs::read(tif)?;
            prove(world, product, Sha256::digest(&bytes).into(), &bytes, number)?;
            Ok(bytes.len())
        }
        Way::Mapped => {
            // In another process: where the daemon dies, the kernel answers with SIGBUS.
            let script = "import mmap, hashlib, sys\n\
                with open(sys.argv[1], 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:\n \
                print(hashlib.sha256(data).hexdigest(), len(data))";
            let arguments = ["-c".as_ref(), script.as_ref(), tif.as_os_str()];
            let told = process::Reader::start("python3", &arguments).finish_within(Duration::from_secs(170));
            if !told.status.success() {
                let last = told.stderr.trim_end().lines().last().unwrap_or_default();
                let last = last.split(": '/").next().unwrap_or_default();
                return Err(Trouble::Failed(if last.is_empty() {
                    told.status.to_string()
                } else {
                    last.to_owned()
                }));
            }
            let text = told.text();
            let (hash, length) = text.trim().split_once(' ').expect("two words");
            let hash: Vec<u8> =
                (0..32).map(|at| u8::from_str_radix(&hash[at * 2..at * 2 + 2], 16).expect("hex")).collect();
            let hash: [u8; 32] = hash.try_into().expect("32 bytes");
            if !world.tally.proven.lock().unwrap().contains(&hash) {
                // Not seen before: the same bytes are read and proven. Unless it was converted anew meanwhile.
                let bytes = std::fs::read(tif)?;
                let read: [u8; 32] = Sha256::digest(&bytes).into();
                prove(world, product, read, &bytes, number)?;
                if read != hash {
                    return Err(Trouble::Failed("converted anew between two reads".to_owned()));
                }
            }
            Ok(length.parse().expect("a length"))
        }
        Way::Chunk => {
            let (rows, columns) = product.content.chunks();
            let (row, column) = (random.below(rows as u64) as usize, random.below(columns as u64) as usize);
            let zarr = folder.join(format!("{}.zarr", product.name));
            // As Zarr readers do: first the root, whose opening fetches.
            std::fs::read(zarr.join(".zgroup"))?;
            let bytes = std::fs::read(zarr.join(format!("band/{row}/{column}")))?;
            if !product.content.has_chunk(row, column, &bytes) {
                return Err(Trouble::Wrong(format!("chunk {row}/{column}, {} bytes", bytes.len())));
            }
            Ok(bytes.len())
        }
        Way::SideFile => {
            let path = folder
                .join("original")
                .join(&product.name)
                .join("Metadata")
                .join(format!("{}.xml", product.name));
            match std::fs::read(path) {
                Ok(bytes) if bytes == SIDE_FILE => Ok(bytes.len()),
                Ok(bytes) => Err(Trouble::Wrong(format!("{} bytes", bytes.len()))),
                // A cold product has none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
                Err(error) => Err(error.into()),
            }
        }
        Way::Listing => {
            let mut names = 0;
            for entry in std::fs::read_dir(&folder)? {
                entry?.metadata()?;
                names += 1;
            }
            let item = std::fs::read(folder.join("item.json"))?;
            match serde_json::from_slice::<serde_json::Value>(&item) {
                Ok(item) if item["type"] == "Feature" && names > 1 => Ok(item.to_string().len()),
                other => Err(Trouble::Wrong(format!("{names} names, {other:?}"))),
            }
        }
    }
}

/// Proves a GeoTIFF by its pixels, the first time that just these bytes are met.
fn prove(world: &World, product: &Product, hash: [u8; 32], bytes: &[u8], number: u64) -> Result<(), Trouble> {
    if world.tally.proven.lock().unwrap().contains(&hash) {
        return Ok(());
    }
    let copy = world.scratch.join(format!("reader-{number}.tif"));
    std::fs::write(&copy, bytes)?;
    match Content::try_read(&copy) {
        Ok(content) if content == product.content => {
            world.tally.proven.lock().unwrap().insert(hash);
            Ok(())
        }
        Ok(_) => Err(Trouble::Wrong(format!("{} bytes with other pixels", bytes.len()))),
        Err(error) => Err(Trouble::Wrong(format!("{} bytes: {error}", bytes.len()))),
    }
}
