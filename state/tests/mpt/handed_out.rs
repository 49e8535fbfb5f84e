//! Tries in memory as a source of nodes.

use pleach_state::mpt::{NoNodes, StateChanges, StateTrie, TrieWorkers};

use crate::{
    model::{Filed, Model, Nodes, Rng},
    properties::seeds,
};

/// All nodes that an update reveals, taken from tries in memory.
fn update(hidden: &mut StateTrie, changes: &StateChanges, whole: &StateTrie, seed: u64) {
    let root = hidden.update(changes, whole);
    root.unwrap_or_else(|error| panic!("{error}; PLEACH_SEED={seed} replays this"));
}

#[test]
fn tries_in_memory_hand_out_every_node_that_the_oracle_makes() {
    let pool = TrieWorkers::new(2).expect("a thread starts");
    for seed in seeds().take(200) {
        let mut rng = Rng(seed);
        let workers = if rng.chance(50) { pool.clone() } else { TrieWorkers::default() };
        let mut whole = StateTrie::empty().with_workers(workers.clone());
        let mut model = Model::default();
        for count in [0, 1, 3, 40, 400].into_iter().take(1 + rng.below(5) as usize) {
            whole.update(&model.change(&mut rng, count), &NoNodes).expect("nothing is hidden");
        }
        let (root, nodes) = model.tries();
        assert_eq!(whole.root(), root, "PLEACH_SEED={seed} replays this");

        // Every account and slot is revealed once from the oracle's nodes and once from ours.
        let all_from = |source: &dyn pleach_state::mpt::NodeSource| {
            let mut state = StateTrie::new(root).with_workers(workers.clone());
            for (address, account) in &model.accounts {
                state.reveal(address, None, source).expect("the account's nodes are there");
                for slot in account.slots.keys() {
                    state.reveal(address, Some(slot), source).expect("the slot's nodes are there");
                }
            }
            state
        };
        let filed: Nodes = nodes;
        let mut from_oracle = all_from(&Filed(filed.clone()));
        let mut from_tries = all_from(&whole);
        assert_eq!(from_tries.node_count(), from_oracle.node_count(), "PLEACH_SEED={seed}");

        // And what a further block needs beyond that, such as siblings.
        let changes = model.change(&mut rng, 20);
        update(&mut from_tries, &changes, &whole, seed);
        from_oracle.update(&changes, &Filed(filed)).expect("all nodes are there");
        let mut fresh = StateTrie::new(root);
        update(&mut fresh, &changes, &whole, seed);
        let expected = model.tries().0;
        let roots = [from_tries.root(), from_oracle.root(), fresh.root()];
        assert_eq!(roots, [expected; 3], "PLEACH_SEED={seed} replays this");
    }
}
