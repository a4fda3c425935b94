//! Which entries go when room is needed: a pure decision over sizes and last uses.

use super::layout::EntryKey;
use crate::tally::label;

label! {
    /// Why an entry left the cache.
    pub enum Cause {
        /// Room was needed for another one.
        Room = "room",
        /// The user wanted it.
        Asked = "asked",
        /// It was damaged.
        Damaged = "damaged",
    }
}

/// An entry that has left the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// The entry.
    pub key: EntryKey,
    /// Bytes of real blocks that it had.
    pub bytes: u64,
    /// Why it went.
    pub cause: Cause,
}

/// An entry as eviction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The entry.
    pub key: EntryKey,
    /// Bytes that deleting it gives back.
    pub bytes: u64,
    /// Last use, in milliseconds since 1970; ties go by key.
    pub last_use: u64,
    /// Open or pinned: never a victim.
    pub held: bool,
}

/// Answer of [`plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Delete these (oldest first; may be empty), then the room is there.
    Evict(Vec<EntryKey>),
    /// Not even deleting every entry that may go would make `excess` fit.
    TooLittle {
        /// Bytes that would still be missing.
        missing: u64,
    },
}

/// Chooses the least recently used entries whose deletion frees at least `excess` bytes.
///
/// `slack` is freed in addition as long as there are candidates (the low-water mark), so that a nearly full
/// cache does not evict at every single fetch; it never makes the plan fail.
pub fn plan(mut candidates: Vec<Candidate>, excess: u64, slack: u64) -> Plan {
    if excess == 0 {
        return Plan::Evict(Vec::new());
    }
    candidates.retain(|candidate| !candidate.held);
    candidates.sort_by(|a, b| (a.last_use, &a.key).cmp(&(b.last_use, &b.key)));
    let mut freed = 0;
    let mut victims = Vec::new();
    for candidate in candidates {
        let enough = freed >= excess;
        // the slack must not cost an entry that is much larger than what is asked for
        if freed >= excess.saturating_add(slack) || (enough && candidate.bytes > slack) {
            break;
        }
        freed += candidate.bytes;
        victims.push(candidate.key);
    }
    if freed >= excess { Plan::Evict(victims) } else { Plan::TooLittle { missing: excess - freed } }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(name: &str, bytes: u64, last_use: u64, held: bool) -> Candidate {
        Candidate { key: EntryKey::new(name).unwrap(), bytes, last_use, held }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_held_ones_stay() {
        let entries = vec![
            candidate("new", 10, 30, false),
            candidate("open", 10, 1, true),
            candidate("old", 10, 10, false),
            candidate("middle", 10, 20, false),
        ];
        let keys = |names: &[&str]| Plan::Evict(names.iter().map(|n| EntryKey::new(*n).unwrap()).collect());
        assert_eq!(plan(entries.clone(), 0, 5), keys(&[]));
        assert_eq!(plan(entries.clone(), 10, 0), keys(&["old"]));
        assert_eq!(plan(entries.clone(), 11, 0), keys(&["old", "middle"]));
        assert_eq!(plan(entries, 31, 0), Plan::TooLittle { missing: 1 });
    }

    proptest! {
        #[test]
        fn a_plan_frees_enough_and_skips_no_older_entry(
            sizes in prop::collection::vec((1u64..100, 0u64..50, any::<bool>()), 0..20),
            excess in 0u64..500, slack in 0u64..200,
        ) {
            let entries: Vec<_> = sizes.iter().enumerate()
                .map(|(i, (bytes, used, held))| candidate(&format!("k{i}"), *bytes, *used, *held)).collect();
            let free: u64 = entries.iter().filter(|e| !e.held).map(|e| e.bytes).sum();
            match plan(entries.clone(), excess, slack) {
                Plan::TooLittle { missing } => prop_assert_eq!(missing, excess - free),
                Plan::Evict(victims) => {
                    let of = |key: &EntryKey| entries.iter().find(|e| e.key == *key).unwrap();
                    let freed: u64 = victims.iter().map(|key| of(key).bytes).sum();
                    prop_assert!(freed >= excess);
                    prop_assert!(victims.iter().all(|key| !of(key).held));
                    let newest = victims.iter().map(|key| of(key).last_use).max().unwrap_or(0);
                    let skipped = entries.iter()
                        .filter(|e| !e.held && !victims.contains(&e.key) && e.last_use < newest).count();
                    prop_assert_eq!(skipped, 0);
                }
            }
        }
    }
}
