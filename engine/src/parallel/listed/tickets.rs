//! What there is to do in a block, in the order in which threads take it.

use std::{
    cmp::Reverse,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use revm::context::TxEnv;

/// Something for one thread to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ticket {
    /// Run the transactions at these places of [`Tickets::order`].
    Transactions(Range<usize>),
    /// Make this part of the bundle.
    Part(usize),
}

/// The tickets of one block. Nothing waits for anything, so threads just take the next one.
#[derive(Debug)]
pub(super) struct Tickets {
    /// Transactions, those first that may take long.
    pub(super) order: Box<[u32]>,
    /// Where each group of transactions that are taken together begins.
    groups: Box<[u32]>,
    parts: usize,
    /// Groups that come before the bundle's parts. The others come after them, so that threads end
    /// together, on small pieces.
    first: usize,
    next: AtomicUsize,
}

/// Transactions that look cheap are taken so many at once.
const MOST_AT_ONCE: usize = 8;
/// The last transactions are taken one by one.
const SINGLES: usize = 16;
/// So many sixteenths of the groups come before the bundle.
const FIRST_SIXTEENTHS: usize = 12;

impl Tickets {
    /// The tickets of a block that uses about so much gas and whose bundle has so many parts.
    pub(super) fn new(txs: &[TxEnv], gas: u64, threads: usize, parts: usize) -> Self {
        let order = in_order(txs, gas, threads);
        let looks_cheap = |tx: &TxEnv| tx.data.is_empty() || tx.gas_limit <= 30_000;
        let mut groups: Vec<u32> = Vec::with_capacity(order.len() / 2);
        for (place, tx) in order.iter().enumerate() {
            let joins = groups.last().is_some_and(|start| {
                let start = *start as usize;
                place + SINGLES < order.len()
                    && place - start < MOST_AT_ONCE
                    && looks_cheap(&txs[order[start] as usize])
                    && looks_cheap(&txs[*tx as usize])
            });
            if !joins {
                groups.push(place as u32);
            }
        }
        let first = groups.len() * FIRST_SIXTEENTHS / 16;
        let (order, groups) = (order.into(), groups.into());
        Self { order, groups, parts, first, next: AtomicUsize::new(0) }
    }

    /// Takes the next ticket.
    pub(super) fn take(&self) -> Option<Ticket> {
        // Relaxed: the ticket alone counts; what it is about was there before any thread came.
        self.ticket(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn ticket(&self, number: usize) -> Option<Ticket> {
        let group = match number {
            _ if number < self.first => number,
            _ if number < self.first + self.parts => {
                return Some(Ticket::Part(number - self.first));
            }
            _ => number - self.parts,
        };
        let start = *self.groups.get(group)? as usize;
        let end = self.groups.get(group + 1).map_or(self.order.len(), |end| *end as usize);
        Some(Ticket::Transactions(start..end))
    }
}

/// A transaction may take long if its limit is this share of the gas that each thread has to do.
const LONG: u64 = 32;

/// Longest first, as far as gas limits tell, so that no thread is left with a long one when the
/// others are done. Short ones keep the block's order, so that they can be committed as they come.
fn in_order(txs: &[TxEnv], gas: u64, threads: usize) -> Vec<u32> {
    let may_be_long = |index: &u32| {
        let limit = txs[*index as usize].gas_limit;
        threads > 1 && limit.saturating_mul(threads as u64 * LONG) >= gas
    };
    let (mut order, short): (Vec<u32>, Vec<u32>) = (0..txs.len() as u32).partition(may_be_long);
    order.sort_by_key(|index| Reverse(txs[*index as usize].gas_limit));
    order.extend(short);
    order
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;

    use super::*;

    fn tx(gas_limit: u64, plain: bool) -> TxEnv {
        let data = if plain { Bytes::new() } else { Bytes::from_static(&[1]) };
        TxEnv { gas_limit, data, ..TxEnv::default() }
    }

    #[test]
    fn every_transaction_and_part_is_handed_out_once() {
        for (count, parts, threads) in [(0, 0, 2), (1, 1, 1), (40, 3, 2), (200, 9, 8)] {
            let gas = |index| if index % 17 == 0 { 5_000_000 } else { 50_000 };
            let txs: Vec<_> = (0..count).map(|index| tx(gas(index), index % 3 > 0)).collect();
            let tickets = Tickets::new(&txs, 30_000_000, threads, parts);
            let mut ran: Vec<u32> = Vec::new();
            let mut made = Vec::new();
            while let Some(ticket) = tickets.take() {
                match ticket {
                    Ticket::Transactions(places) => ran.extend(&tickets.order[places]),
                    Ticket::Part(part) => made.push(part),
                }
            }
            ran.sort_unstable();
            assert_eq!(ran, (0..count as u32).collect::<Vec<_>>());
            assert_eq!(made, (0..parts).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_long_transaction_starts_early() {
        let mut txs = vec![tx(50_000, false); 30];
        txs[29] = tx(3_000_000, false);
        let tickets = Tickets::new(&txs, 30_000_000, 2, 0);
        assert_eq!(tickets.order[0], 29);
    }
}
