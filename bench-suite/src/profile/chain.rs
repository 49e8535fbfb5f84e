//! The heaviest chain of transactions, each resting on the one before.

use std::ops::Range;

use pleach_engine::trace::{Dependencies, Dependency};

/// Dependencies, found by reader.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    edges: &'a [Dependency],
    /// Where each reader's edges are.
    of_reader: Vec<Range<usize>>,
}

/// A chain and its weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chain {
    pub(super) weight: f64,
    /// From the first to the last.
    pub(super) indices: Vec<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(dependencies: &'a Dependencies, transactions: usize) -> Self {
        let edges = dependencies.edges.as_slice();
        let mut of_reader = Vec::with_capacity(transactions);
        let mut at = 0;
        for reader in 0..transactions {
            let start = at;
            while edges.get(at).is_some_and(|edge| edge.reader as usize == reader) {
                at += 1;
            }
            of_reader.push(start..at);
        }
        Self { edges, of_reader }
    }

    /// What a transaction rests on.
    pub(super) fn of(&self, reader: usize) -> &'a [Dependency] {
        &self.edges[self.of_reader[reader].clone()]
    }

    pub(super) fn edges(&self) -> &'a [Dependency] {
        self.edges
    }

    /// The heaviest chain, given what each transaction weighs. Two transactions that meet at a
    /// location that is `cut` do not wait for each other, wherever else they meet: locations are
    /// often used together, and one of them alone would show no effect.
    pub(super) fn heaviest(&self, weights: &[f64], cut: impl Fn(u32) -> bool) -> Chain {
        let mut total = Vec::with_capacity(weights.len());
        let mut before = Vec::with_capacity(weights.len());
        // For each transaction the last reader that does not wait for it.
        let mut freed = vec![usize::MAX; weights.len()];
        for (reader, weight) in weights.iter().enumerate() {
            for edge in self.of(reader).iter().filter(|edge| cut(edge.location)) {
                freed[edge.writer as usize] = reader;
            }
            let writers = self.of(reader).iter().map(|edge| edge.writer as usize);
            let awaited = writers.filter(|writer| freed[*writer] != reader);
            let last = awaited.max_by(|a, b| f64::total_cmp(&total[*a], &total[*b]));
            total.push(weight + last.map_or(0.0, |last| total[last]));
            before.push(last);
        }
        let end = (0..total.len()).max_by(|a, b| f64::total_cmp(&total[*a], &total[*b]));
        let mut indices: Vec<_> = std::iter::successors(end, |at| before[*at]).collect();
        indices.reverse();
        Chain { weight: end.map_or(0.0, |end| total[end]), indices }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use pleach_engine::trace::Location;

    use super::*;

    fn dependencies(edges: &[(u32, u32, u32)]) -> Dependencies {
        let edge = |&(reader, writer, location)| Dependency { reader, writer, location };
        let locations = (0..3).map(|n| Location::Balance(Address::with_last_byte(n))).collect();
        Dependencies { locations, edges: edges.iter().map(edge).collect() }
    }

    #[test]
    fn without_dependencies_the_longest_transaction_is_the_chain() {
        let none = dependencies(&[]);
        let chain = Graph::new(&none, 3).heaviest(&[1.0, 5.0, 2.0], |_| false);
        assert_eq!(chain, Chain { weight: 5.0, indices: vec![1] });
        assert_eq!(Graph::new(&none, 0).heaviest(&[], |_| false), Chain::default());
    }

    #[test]
    fn a_chain_weighs_the_sum_of_its_transactions() {
        let all = dependencies(&[(1, 0, 0), (2, 1, 0), (3, 2, 0)]);
        let chain = Graph::new(&all, 4).heaviest(&[1.0, 2.0, 3.0, 4.0], |_| false);
        assert_eq!(chain, Chain { weight: 10.0, indices: vec![0, 1, 2, 3] });
    }

    #[test]
    fn a_location_that_is_cut_breaks_the_chains_through_it() {
        let all = dependencies(&[(1, 0, 0), (2, 1, 1), (2, 1, 2), (3, 0, 2)]);
        let graph = Graph::new(&all, 4);
        let chain = graph.heaviest(&[1.0, 1.0, 1.0, 1.5], |location| location == 1);
        assert_eq!(chain, Chain { weight: 2.5, indices: vec![0, 3] });
    }

    /// Every chain of small random graphs, tried one by one.
    #[test]
    fn the_heaviest_chain_is_that_of_an_exhaustive_search() {
        let mut word: u64 = 1;
        let mut below = |bound: u64| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 33) % bound
        };
        for _ in 0..200 {
            let weights: Vec<_> = (0..8).map(|_| below(100) as f64).collect();
            let mut edges = Vec::new();
            for reader in 1..8 {
                for writer in 0..reader {
                    if below(3) == 0 {
                        edges.push((reader, writer, 0));
                    }
                }
            }
            let all = dependencies(&edges);
            let chain = Graph::new(&all, 8).heaviest(&weights, |_| false);
            let best = (1_u32..256).filter_map(|set| weight_if_chain(set, &edges, &weights));
            assert_eq!(chain.weight, best.fold(0.0, f64::max));
            let sum: f64 = chain.indices.iter().map(|at| weights[*at]).sum();
            assert_eq!(chain.weight, sum);
        }
    }

    fn weight_if_chain(set: u32, edges: &[(u32, u32, u32)], weights: &[f64]) -> Option<f64> {
        let members: Vec<u32> = (0..8).filter(|n| set >> n & 1 == 1).collect();
        let linked = members.windows(2).all(|pair| edges.contains(&(pair[1], pair[0], 0)));
        linked.then(|| members.iter().map(|n| weights[*n as usize]).sum())
    }
}
