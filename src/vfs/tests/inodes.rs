//! Inode numbers: the same for a path always, known exactly as long as the kernel remembers them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::vfs::inodes::Inodes;
use crate::vfs::node::{Edition, Ino, ProductPath};

/// What the kernel does.
#[derive(Debug, Clone)]
enum Act {
    /// lookup of a path: counts once.
    Lookup(usize),
    /// readdir without plus: names numbers, counts nothing.
    Readdir,
    /// readdirplus: every name counts once.
    Readdirplus,
    /// forget of a part of what was counted.
    Forget(usize, u64),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..PATHS).prop_map(Act::Lookup),
        1 => Just(Act::Readdir),
        1 => Just(Act::Readdirplus),
        4 => (0..PATHS, 1u64..4).prop_map(|(path, times)| Act::Forget(path, times)),
    ]
}

const PATHS: usize = 24;

fn nodes() -> Vec<(Node, String)> {
    let product =
        |n: usize| ProductPath { dataset: format!("d{}", n % 3).into(), product: format!("p{n}").into() };
    let node = |n: usize| match n % 4 {
        0 => Node::Dataset(format!("d{n}").into()),
        1 => Node::Product(product(n)),
        2 => Node::Item(product(n)),
        _ => Node::Inside(product(n), format!("p{n}.tif").into(), Edition::NONE),
    };
    (0..PATHS).map(node).map(|node| (node.clone(), node.path(&[]))).collect()
}

proptest! {
    #[test]
    fn the_table_knows_exactly_what_the_kernel_remembers(acts in prop::collection::vec(any_act(), 0..80)) {
        let (nodes, inodes) = (nodes(), Inodes::default());
        let fixed: Vec<Ino> = nodes.iter().map(|(node, path)| inodes.remember(node.clone(), path, 0)).collect();
        let mut kernel: HashMap<usize, u64> = HashMap::new();
        for act in acts {
            match act {
                Act::Lookup(n) => {
                    prop_assert_eq!(inodes.remember(nodes[n].0.clone(), &nodes[n].1, 1), fixed[n]);
                    *kernel.entry(n).or_default() += 1;
                }
                Act::Readdir | Act::Readdirplus => {
                    let lookups = u64::from(matches!(act, Act::Readdirplus));
                    for n in 0..PATHS {
                        prop_assert_eq!(inodes.remember(nodes[n].0.clone(), &nodes[n].1, lookups), fixed[n]);
                        if lookups > 0 {
                            *kernel.entry(n).or_default() += lookups;
                        }
                    }
                }
                Act::Forget(n, times) => {
                    let times = times.min(kernel.get(&n).copied().unwrap_or(0));
                    inodes.forget(fixed[n], times);
                    if let Some(count) = kernel.get_mut(&n) {
                        *count -= times;
                    }
                }
            }
            kernel.retain(|_, count| *count > 0);
            prop_assert_eq!(inodes.len(), kernel.len() + 1);
            for n in 0..PATHS {
                let known = kernel.contains_key(&n).then(|| nodes[n].0.clone());
                prop_assert_eq!(inodes.node(fixed[n]), known);
            }
        }
        for (n, count) in kernel {
            inodes.forget(fixed[n], count);
        }
        prop_assert!(inodes.is_empty());
        prop_assert_eq!(inodes.node(Ino::ROOT), Some(Node::Root));
    }
}

#[tokio::test(start_paused = true)]
async fn every_path_of_a_mount_has_its_own_number_before_and_after_it_is_ready() {
    let numbers = |mount: &Mount| -> HashMap<String, Ino> {
        let number =
            |(path, node, _): (String, Node, Kind)| (path.clone(), mount.vfs.inodes.remember(node, &path, 1));
        mount.all().into_iter().map(number).collect()
    };
    let mount = Mount::new();
    let cold = numbers(&mount);
    let unique: std::collections::HashSet<_> = cold.values().collect();
    assert_eq!(unique.len(), cold.len());
    mount.fetch("clc2018/a").await;
    let ready = numbers(&mount);
    for (path, number) in &cold {
        assert_eq!(ready.get(path), Some(number), "{path}");
    }
    let again = numbers(&Mount::new());
    assert_eq!(again, cold, "another mount");
}
