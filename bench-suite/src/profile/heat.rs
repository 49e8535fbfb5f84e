//! Which accounts and locations held transactions up, and how much.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, Bytes};
use pleach_engine::{
    RecoveredBlock,
    trace::{ConflictTrace, Location, Trace},
};

use super::{
    chain::{Chain, Graph},
    measure::{ms, path_location},
    model::{Caller, ContractHeat, LocationHeat, TransactionFacts},
    slots::{Meaning, meanings},
    words,
};

/// More locations, or accounts, are not listed.
const MAX_LISTED: usize = 40;
/// More kinds of callers of one location are not listed.
const MAX_CALLERS: usize = 6;

/// What the block's dependencies and one run's conflicts say of locations.
pub(super) struct Heat<'a> {
    graph: &'a Graph<'a>,
    /// The graph's locations, by their numbers.
    numbered: &'a [Location],
    transactions: &'a [TransactionFacts],
    times: Vec<f64>,
    path_ms: f64,
    locations: BTreeMap<Location, Tally>,
    contracts: BTreeMap<Address, Tally>,
}

/// What is counted of a location, or of an account with all of its locations.
#[derive(Debug, Clone, Default)]
struct Tally {
    dependents: BTreeSet<usize>,
    /// Dependents, those they rest on, and those whose results were thrown away.
    met: BTreeSet<usize>,
    on_path: BTreeSet<usize>,
    path_ms: f64,
    aborts: u64,
    aborts_alone: u64,
    reexecuted_gas: u64,
    wasted_ms: f64,
}

impl Tally {
    /// Milliseconds lost here, one way or the other.
    fn heat(&self) -> f64 {
        self.path_ms + self.wasted_ms
    }

    fn abort(&mut self, conflict: &ConflictTrace, alone: bool) {
        self.met.insert(conflict.index);
        self.aborts += 1;
        self.aborts_alone += u64::from(alone);
        self.reexecuted_gas += conflict.gas;
        self.wasted_ms += ms(conflict.wasted_ns);
    }
}

impl<'a> Heat<'a> {
    pub(super) fn new(
        graph: &'a Graph<'a>,
        numbered: &'a [Location],
        trace: &Trace,
        transactions: &'a [TransactionFacts],
        path: &Chain,
    ) -> Self {
        let times: Vec<_> = transactions.iter().map(|tx| tx.ms).collect();
        let (locations, contracts) = (BTreeMap::new(), BTreeMap::new());
        let path_ms = path.weight;
        let mut heat = Self { graph, numbered, transactions, times, path_ms, locations, contracts };
        heat.count_edges();
        heat.count_path(&path.indices);
        trace.conflicts.iter().for_each(|conflict| heat.count_conflict(conflict));
        heat
    }

    fn tallies(&mut self, location: Location) -> [&mut Tally; 2] {
        [
            self.locations.entry(location).or_default(),
            self.contracts.entry(location.address()).or_default(),
        ]
    }

    fn count_edges(&mut self) {
        for edge in self.graph.edges() {
            let (reader, writer) = (edge.reader as usize, edge.writer as usize);
            for tally in self.tallies(self.numbered[edge.location as usize]) {
                tally.dependents.insert(reader);
                tally.met.extend([reader, writer]);
            }
        }
    }

    fn count_path(&mut self, indices: &[usize]) {
        for pair in indices.windows(2) {
            let (before, reader) = (pair[0], pair[1]);
            for edge in self.graph.of(reader).iter().filter(|e| e.writer as usize == before) {
                for tally in self.tallies(self.numbered[edge.location as usize]) {
                    tally.on_path.extend([before, reader]);
                }
            }
        }
        let tallies = self.locations.values_mut().chain(self.contracts.values_mut());
        for tally in tallies {
            let times = tally.on_path.iter().map(|index| self.times[*index]);
            // Not `sum`, which gives -0 for nothing.
            tally.path_ms = times.fold(0.0, |sum, time| sum + time);
        }
    }

    fn count_conflict(&mut self, conflict: &ConflictTrace) {
        let locations: BTreeSet<_> = conflict.stale.iter().map(|read| read.location).collect();
        let accounts: BTreeSet<_> = locations.iter().map(Location::address).collect();
        for location in &locations {
            let tally = self.locations.entry(*location).or_default();
            tally.abort(conflict, locations.len() == 1);
        }
        for account in &accounts {
            let tally = self.contracts.entry(*account).or_default();
            tally.abort(conflict, accounts.len() == 1);
        }
    }

    fn share(&self, tally: &Tally) -> f64 {
        if self.path_ms > 0.0 { tally.path_ms / self.path_ms } else { 0.0 }
    }

    /// The longest chain if transactions that meet at such a location did not wait.
    fn path_ms_without(&self, cut: impl Fn(&Location) -> bool) -> f64 {
        self.graph.heaviest(&self.times, |number| cut(&self.numbered[number as usize])).weight
    }

    /// The hottest accounts, hottest first.
    pub(super) fn contracts(&self) -> Vec<ContractHeat> {
        let hottest = hottest(&self.contracts).into_iter();
        let row = |(address, tally): (&Address, &Tally)| ContractHeat {
            address: *address,
            dependents: tally.dependents.len(),
            path_transactions: tally.on_path.len(),
            path_ms: tally.path_ms,
            path_share: self.share(tally),
            path_ms_without: self.path_ms_without(|location| location.address() == *address),
            aborts: tally.aborts,
            reexecuted_gas: tally.reexecuted_gas,
        };
        hottest.map(row).collect()
    }

    /// The hottest locations, hottest first.
    pub(super) fn locations(&self, block: &RecoveredBlock) -> Vec<LocationHeat> {
        let hottest = hottest(&self.locations);
        let slots = hottest.iter().filter_map(|(location, _)| location.slot()).collect();
        let meanings = meanings(&slots, &self.addresses(block));
        let row = |(location, tally): (&Location, &Tally)| {
            let place = path_location(location);
            let meaning = location.slot().map(|slot| meanings[&slot]);
            LocationHeat {
                kind: place.kind,
                address: place.address,
                slot: place.slot,
                meaning: meaning.map_or_else(|| words::meaning(location), Meaning::describe),
                advice: words::advice(location, meaning).to_owned(),
                callers: self.callers(tally),
                dependents: tally.dependents.len(),
                path_transactions: tally.on_path.len(),
                path_ms: tally.path_ms,
                path_share: self.share(tally),
                path_ms_without: self.path_ms_without(|other| other == location),
                aborts: tally.aborts,
                aborts_alone: tally.aborts_alone,
                reexecuted_gas: tally.reexecuted_gas,
                wasted_ms: tally.wasted_ms,
            }
        };
        hottest.into_iter().map(row).collect()
    }

    /// Addresses that may be keys of mappings: all that the block's transactions mention, be it in
    /// a word of their input.
    fn addresses(&self, block: &RecoveredBlock) -> BTreeSet<Address> {
        let mut found: BTreeSet<_> = self.contracts.keys().copied().collect();
        for (tx, facts) in block.transactions().iter().zip(self.transactions) {
            found.insert(facts.from);
            found.extend(facts.to);
            let words = tx.input().get(4..).unwrap_or_default().chunks_exact(32);
            let addresses = words.filter(|word| word[..12] == [0; 12] && word[12..16] != [0; 4]);
            found.extend(addresses.map(|word| Address::from_slice(&word[12..])));
        }
        found
    }

    fn callers(&self, tally: &Tally) -> Vec<Caller> {
        type Kind = (Option<Address>, Option<Bytes>);
        let mut kinds: BTreeMap<Kind, (usize, Option<&'static str>)> = BTreeMap::new();
        for index in &tally.met {
            let TransactionFacts { to, selector, signature, .. } = &self.transactions[*index];
            let kind = kinds.entry((*to, selector.clone())).or_insert((0, *signature));
            kind.0 += 1;
        }
        let callers = kinds.into_iter();
        let mut callers: Vec<_> = callers
            .map(|((to, selector), (transactions, signature))| Caller {
                to,
                selector,
                signature,
                transactions,
            })
            .collect();
        callers.sort_by_key(|caller| std::cmp::Reverse(caller.transactions));
        callers.truncate(MAX_CALLERS);
        callers
    }
}

/// By milliseconds lost, then by how many transactions rest on others there.
fn hottest<K: Ord>(tallies: &BTreeMap<K, Tally>) -> Vec<(&K, &Tally)> {
    let mut order: Vec<_> = tallies.iter().collect();
    order.sort_by(|(_, a), (_, b)| {
        let heat = f64::total_cmp(&b.heat(), &a.heat());
        heat.then(b.dependents.len().cmp(&a.dependents.len()))
    });
    order.truncate(MAX_LISTED);
    order
}
