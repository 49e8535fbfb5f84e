//! A root prepared while a block runs: whatever the task is told, the root is the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use alloy_primitives::{Bytes, U256};
use pleach_state::mpt::{
    NodePlace, NodeSource, RootTask, SourceError, StateChanges, StateTrie, TouchedKey, TrieError,
    TrieWorkers,
};

use crate::{
    known::{Known, SLOTS, address},
    model::{Filed, Nodes, Rng},
    properties::seeds,
};

/// How a task is told of a block.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// In commit order, and worked on by another thread meanwhile.
    Alongside,
    /// Backwards, with keys of nothing in between.
    InAnyOrder,
    /// The first half: the rest never came.
    Half,
    /// A block that was given up, and then this one on what the task had done.
    AfterAnother,
}

fn tell(task: &RootTask, keys: &[TouchedKey], told: Told, rng: &mut Rng) {
    match told {
        Told::Alongside => {
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        task.work();
                    }
                });
                keys.chunks(3).for_each(|keys| task.touch_all(keys.iter().copied()));
                is_over.store(true, Ordering::Relaxed);
            });
        }
        Told::InAnyOrder => {
            for key in keys.iter().rev() {
                task.touch(*key);
                task.touch(TouchedKey::Slot(address(rng), U256::from(rng.below(SLOTS))));
                if rng.chance(30) {
                    task.work();
                }
            }
        }
        Told::Half => {
            task.touch_all(keys[..keys.len() / 2].iter().copied());
            while task.work() {}
        }
        Told::AfterAnother => {
            task.touch_all((0..50).map(|_| TouchedKey::Account(address(rng))));
            while task.work() {}
            task.touch_all(keys.iter().copied());
        }
    }
}

#[test]
fn the_root_is_the_same_whatever_the_task_is_told() {
    let pool = TrieWorkers::new(2).expect("a thread starts");
    let ways = [Told::Alongside, Told::InAnyOrder, Told::Half, Told::AfterAnother];
    for seed in seeds().take(120) {
        let mut rng = Rng(seed);
        let mut known = Known::new(&mut rng);
        let (before, nodes) = known.model.tries();
        let source = Arc::new(Filed(nodes));
        let (changes, keys) = known.block(&mut rng);
        let expected = known.model.tries().0;
        for told in ways {
            let workers = if rng.chance(50) { pool.clone() } else { TrieWorkers::default() };
            let state = StateTrie::new(before).with_workers(workers);
            let task = RootTask::new(state, Arc::clone(&source) as _);
            tell(&task, &keys, told, &mut rng);
            let late = task.clone();
            let mut state = task.finish();
            let root = state.update(&changes, &*source).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(root, expected, "{told:?}; PLEACH_SEED={seed} replays this");
            // Whoever still holds the task finds nothing that could disturb anybody.
            late.touch_all(keys.iter().copied());
            late.work();
        }
    }
}

/// What the task reveals the update does not fetch again.
#[test]
fn what_was_revealed_is_in_memory() {
    let mut rng = Rng(7);
    let mut known = Known::new(&mut rng);
    let (before, nodes) = known.model.tries();
    let (changes, keys) = known.block(&mut rng);
    let task = RootTask::new(StateTrie::new(before), Arc::new(Filed(nodes.clone())));
    task.touch_all(keys);
    while task.work() {}
    let mut state = task.finish();
    assert!(state.node_count() > 10);
    // Only siblings of what is taken out were not on the way to any key.
    let without_hints = fetches(&mut StateTrie::new(before), &changes, &nodes);
    let with_hints = fetches(&mut state, &changes, &nodes);
    assert!(with_hints * 10 < without_hints, "{with_hints} of {without_hints} were fetched again");
}

/// How many nodes an update has to fetch.
fn fetches(state: &mut StateTrie, changes: &StateChanges, nodes: &Nodes) -> usize {
    struct Counting<'a>(&'a Nodes, AtomicUsize);
    impl NodeSource for Counting<'_> {
        fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(self.0.get(place.hash).cloned())
        }
    }
    let counting = Counting(nodes, Default::default());
    state.update(changes, &counting).expect("all nodes are there");
    counting.1.into_inner()
}

/// A node that is missing is nobody's fault until the update needs it, which then names it.
#[test]
fn what_the_task_cannot_reveal_the_update_reports() {
    let mut rng = Rng(3);
    let mut known = Known::new(&mut rng);
    let (before, mut nodes) = known.model.tries();
    let (changes, keys) = known.block(&mut rng);
    assert!(!changes.accounts().is_empty(), "this seed changes something");
    nodes.remove(&before).expect("the root is a node");
    let source = Arc::new(Filed(nodes));
    let task = RootTask::new(StateTrie::new(before), Arc::clone(&source) as _);
    task.touch_all(keys);
    while task.work() {}
    let error = task.finish().update(&changes, &*source).expect_err("the root is missing");
    let TrieError::MissingNode(node) = error else { panic!("another error: {error}") };
    assert_eq!((node.hash, node.path.as_str(), node.owner), (before, "", None));
    let keys: Vec<_> = changes.accounts().iter().map(|change| change.hashed_address).collect();
    assert!(node.towards.is_some_and(|key| keys.contains(&key)), "{node}");
}
