//! `clmsfs cache verify`: proves entries while they are served, and throws away what is proven to be damaged.

use std::ops::ControlFlow;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::store::StoreError;
use crate::store::layout::EntryKey;
use crate::store::verify::{self, Proof, VerifyError};
use crate::vfs::Vfs;
use crate::vfs::tree::entry_key;

use super::actions::{Outcome, resolve};

/// Proves the named entries, or all, one after another; ends early when it is told to stop. Reads all of their bytes.
pub(super) fn prove(vfs: &Vfs, mountpoint: &Path, ids: &[String], stop: &CancellationToken) -> Vec<Outcome> {
    let catalog = vfs.catalog();
    let engine = vfs.engine();
    let mut outcomes = Vec::new();
    let mut wanted = Vec::new();
    for id in ids {
        match resolve(&catalog, mountpoint, id) {
            Ok(product) => wanted.push((id.clone(), entry_key(product))),
            Err(message) => outcomes.push(Outcome::of(id, Err(message))),
        }
    }
    if ids.is_empty() {
        let named = |key: EntryKey| {
            let path = engine.ledger().path_of(&key).ok().flatten();
            (path.unwrap_or_else(|| key.to_string()), key)
        };
        wanted = engine.inventory().holdings().into_iter().map(|holding| named(holding.key)).collect();
    }
    for (id, key) in wanted {
        if stop.is_cancelled() {
            tracing::info!("nobody waits for the verification any more: it ends");
            break;
        }
        outcomes.push(Outcome::of(&id, prove_one(vfs, key, stop)));
    }
    outcomes
}

/// Proves one entry; a look, and no use. What is damaged goes.
fn prove_one(vfs: &Vfs, key: EntryKey, stop: &CancellationToken) -> Result<String, String> {
    let inventory = vfs.engine().inventory();
    let Some(lease) = inventory.peek(&key) else { return Err(StoreError::Unknown { key }.to_string()) };
    let go_on = |_| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let proof = verify::full(lease.directory(), go_on);
    // what was read is partly of the newer one
    let is_renewed = || !inventory.is_current(&lease);
    match proof {
        Ok(proof) => Ok(words(&proof)),
        Err(VerifyError::Cancelled) => Err(VerifyError::Cancelled.to_string()),
        Err(_) if is_renewed() => Err("it was renewed or removed meanwhile: verify it again".to_owned()),
        Err(error) if error.is_damage() => {
            inventory.quarantine(&lease);
            Err(format!("{error}; removed, it will be fetched again"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A proof in words.
fn words(proof: &Proof) -> String {
    let mut words = Vec::new();
    if proof.tiles + proof.missing > 0 {
        words.push(format!("{} chunks proven, {} missing (fill value)", proof.tiles, proof.missing));
    }
    if proof.files > 0 {
        words.push(format!("{} side files proven", proof.files));
    }
    if proof.files_without_checksum > 0 {
        let files = proof.files_without_checksum;
        words.push(format!("{files} side files have their size (an earlier release took no checksums)"));
    }
    if !proof.sealed {
        words.push("no seal (an earlier release set none): descriptions and tags are not proven".to_owned());
    }
    words.join(", ")
}
