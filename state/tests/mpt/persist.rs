//! Nodes stored by their places, as updates say: always exactly those of the oracle's tries.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;
use pleach_state::mpt::{NodeChanges, NodePlace, NodeSource, SourceError, StateTrie, TrieWorkers};

use crate::{
    model::{Model, Rng},
    properties::{block, seeds},
};

/// Nodes by owner and path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stored(BTreeMap<(Option<B256>, Nibbles), Bytes>);

impl NodeSource for Stored {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.get(&(place.owner.copied(), *place.path)).cloned())
    }
}

impl Stored {
    fn apply(&mut self, changes: NodeChanges) {
        for owner in changes.wiped {
            self.0.retain(|(held, _), _| *held != Some(owner));
        }
        for node in changes.nodes {
            match node.rlp {
                Some(rlp) => self.0.insert((node.owner, node.path), rlp),
                None => self.0.remove(&(node.owner, node.path)),
            };
        }
    }
}

#[test]
fn stored_nodes_are_exactly_the_oracles() {
    let pool = TrieWorkers::new(2).expect("two threads start");
    for seed in seeds() {
        let mut rng = Rng(seed);
        let mut model = Model::default();
        let mut stored = Stored::default();
        let mut state = StateTrie::empty().with_workers(pool.clone()).recording_nodes();
        for index in 0..8 {
            let root = block(&mut state, &mut model, &mut rng, &stored.clone());
            // At times several blocks are stored together.
            if rng.chance(40) {
                continue;
            }
            stored.apply(state.take_node_changes());
            let (expected_root, nodes) = model.tries_by_place();
            assert_eq!(root, expected_root);
            let expected = Stored(nodes);
            assert!(stored == expected, "block {index}; PLEACH_SEED={seed} replays this: {}", {
                difference(&stored, &expected)
            });
            assert_eq!(state.take_node_changes(), NodeChanges::default(), "taken once");
            // The next block begins with what is known, or with the root alone.
            if rng.chance(50) {
                state = StateTrie::new(root).with_workers(pool.clone()).recording_nodes();
            }
        }
    }
}

fn difference(stored: &Stored, expected: &Stored) -> String {
    let missing = expected.0.iter().find(|(place, rlp)| stored.0.get(place) != Some(rlp));
    let surplus = stored.0.keys().find(|place| !expected.0.contains_key(place));
    format!("missing or other {missing:?}, surplus {surplus:?}")
}
