//! What calls will read, guessed from what earlier calls of the same function of the same contract
//! have read.
//!
//! A contract keeps most of what it reads in mappings, whose slots follow from the call: the entry
//! of key `k` in the mapping at place `p` lies in slot `keccak256(k . p)`, and the keys are who
//! calls, the contract itself, or words of the input. So of a few calls of each function all such
//! slots are computed, for the first places; those that were read are its patterns, and give the
//! slots of the next call. A pattern that does not hold a few times is forgotten.
//!
//! Guesses say what to read early, and nothing else.

use std::collections::HashMap;

use alloy_primitives::{Address, U256, keccak256};
use foldhash::fast::RandomState;
use revm::context::TxEnv;

use super::wanted::Wanted;
use crate::RecoveredBlock;

/// Functions that are remembered; when there are more, the history begins anew.
const MOST_FUNCTIONS: usize = 1 << 14;
/// Patterns of one function.
const MOST_PATTERNS: usize = 16;
/// Words of the input that are looked at.
const WORDS: usize = 8;
/// Contracts beside the one called whose slots are looked at.
const MOST_OTHERS: usize = 3;
/// Places at which mappings and values are looked for.
const PLACES: u8 = 12;
/// Places at which mappings of mappings are looked for.
const NESTED_PLACES: u8 = 8;
/// Calls of a function that are learnt from at once, and one in how many after those.
const AT_ONCE: u32 = 3;
const ONE_IN: u32 = 16;
/// Calls of a block that are learnt from: each takes about a tenth of a millisecond.
const MOST_SAMPLES: usize = 8;
/// How often a pattern that has held may fail.
const TRUST: i8 = 3;

/// A function of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Function {
    target: Address,
    selector: [u8; 4],
}

/// A word that a call brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Caller,
    Target,
    Input(u8),
}

/// Where a call reads, given its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pattern {
    /// The contract whose slot it is.
    account: Word,
    /// None for a value that lies at the place itself, two for a mapping of mappings, the outer
    /// one's key first.
    keys: [Option<Word>; 2],
    place: u8,
}

#[derive(Debug, Default)]
struct Habit {
    calls: u32,
    patterns: Vec<(Pattern, i8)>,
}

/// What functions are known to read.
#[derive(Debug, Default)]
pub(super) struct Habits(HashMap<Function, Habit, RandomState>);

impl Habits {
    /// Adds what a block is likely to read.
    pub(super) fn predict(&self, block: &RecoveredBlock, wanted: &mut Vec<Wanted>) {
        for tx in block.tx_envs() {
            let Some(call) = Call::of(tx) else { continue };
            let Some(habit) = self.0.get(&call.function()) else { continue };
            let trusted = habit.patterns.iter().filter(|(_, trust)| *trust > 0);
            wanted.extend(trusted.filter_map(|(pattern, _)| {
                let (account, slot) = call.place(pattern)?;
                Some(Wanted::Slot(account, slot))
            }));
        }
    }

    /// Learns from a block that has been executed, given which slots have been read so far.
    pub(super) fn learn(
        &mut self,
        block: &RecoveredBlock,
        was_read: impl Fn(Address, U256) -> bool,
    ) {
        if self.0.len() > MOST_FUNCTIONS {
            self.0.clear();
        }
        let mut samples = 0;
        for call in block.tx_envs().iter().filter_map(Call::of) {
            let habit = self.0.entry(call.function()).or_default();
            habit.calls = habit.calls.wrapping_add(1);
            let is_sample = habit.calls <= AT_ONCE || habit.calls.is_multiple_of(ONE_IN);
            if is_sample && samples < MOST_SAMPLES {
                samples += 1;
                habit.learn(&call, &was_read);
            }
        }
    }
}

impl Habit {
    fn learn(&mut self, call: &Call<'_>, was_read: impl Fn(Address, U256) -> bool) {
        let held = |pattern: &Pattern| {
            let place = call.place(pattern);
            place.is_some_and(|(account, slot)| was_read(account, slot))
        };
        for (pattern, trust) in &mut self.patterns {
            *trust = if held(pattern) { TRUST } else { *trust - 1 };
        }
        self.patterns.retain(|(_, trust)| *trust > 0);
        let accounts: Vec<_> = call.accounts().collect();
        call.each_slot(|keys, place, slot| {
            for (account, address) in &accounts {
                let pattern = Pattern { account: *account, keys, place };
                let is_new = self.patterns.len() < MOST_PATTERNS
                    && was_read(*address, slot)
                    && self.patterns.iter().all(|(known, _)| *known != pattern);
                if is_new {
                    self.patterns.push((pattern, 1));
                }
            }
        });
    }
}

/// A transaction that calls a function.
struct Call<'a> {
    caller: Address,
    target: Address,
    input: &'a [u8],
}

impl<'a> Call<'a> {
    fn of(tx: &'a TxEnv) -> Option<Self> {
        let target = *tx.kind.to()?;
        (tx.data.len() >= 4).then(|| Self { caller: tx.caller, target, input: &tx.data })
    }

    fn function(&self) -> Function {
        let selector = self.input[..4].try_into().expect("these are four bytes");
        Function { target: self.target, selector }
    }

    fn word(&self, word: Word) -> Option<U256> {
        match word {
            Word::Caller => Some(U256::from_be_slice(self.caller.as_slice())),
            Word::Target => Some(U256::from_be_slice(self.target.as_slice())),
            Word::Input(index) => {
                let begin = 4 + 32 * usize::from(index);
                self.input.get(begin..begin + 32).map(U256::from_be_slice)
            }
        }
    }

    /// A word as an address, if it looks like one.
    fn address(&self, word: Word) -> Option<Address> {
        let word = self.word(word)?;
        (97..=160).contains(&word.bit_len()).then(|| Address::from_word(word.into()))
    }

    /// All words.
    fn words(&self) -> impl Iterator<Item = Word> + '_ {
        let inputs = (0..WORDS as u8).map(Word::Input);
        let all = [Word::Caller, Word::Target].into_iter().chain(inputs);
        all.filter(|word| self.word(*word).is_some())
    }

    /// The contracts whose slots may be read.
    fn accounts(&self) -> impl Iterator<Item = (Word, Address)> + '_ {
        let inputs = (0..WORDS as u8).map(Word::Input);
        let others = inputs.filter_map(|word| Some((word, self.address(word)?)));
        std::iter::once((Word::Target, self.target)).chain(others.take(MOST_OTHERS))
    }

    /// Where a pattern leads; nowhere if the call lacks a word.
    fn place(&self, pattern: &Pattern) -> Option<(Address, U256)> {
        let account = match pattern.account {
            Word::Target => self.target,
            word => self.address(word)?,
        };
        let mut slot = U256::from(pattern.place);
        for key in pattern.keys.iter().flatten() {
            slot = entry(self.word(*key)?, slot);
        }
        Some((account, slot))
    }

    /// Shows all slots that patterns can lead to.
    fn each_slot(&self, mut show: impl FnMut([Option<Word>; 2], u8, U256)) {
        (0..PLACES).for_each(|place| show([None, None], place, U256::from(place)));
        for outer in self.words() {
            let Some(key) = self.word(outer) else { continue };
            for place in 0..PLACES {
                let slot = entry(key, U256::from(place));
                show([Some(outer), None], place, slot);
                if place >= NESTED_PLACES || self.address(outer).is_none() {
                    continue;
                }
                for inner in self.words().filter(|inner| *inner != outer) {
                    if let Some(key) = self.address(inner).and_then(|_| self.word(inner)) {
                        show([Some(outer), Some(inner)], place, entry(key, slot));
                    }
                }
            }
        }
    }
}

/// The slot of a mapping's entry.
fn entry(key: U256, mapping: U256) -> U256 {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&key.to_be_bytes::<32>());
    bytes[32..].copy_from_slice(&mapping.to_be_bytes::<32>());
    keccak256(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use alloy_consensus::{Block, BlockBody, Header, Signed, TxEip1559, TxEnvelope};
    use alloy_primitives::{Bytes, Signature, TxKind};

    use super::*;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const OTHER: Address = Address::repeat_byte(0x71);

    /// A block with `transferFrom(payer, payee, 1)` of a token.
    fn block(caller: Address, payer: Address, payee: Address) -> RecoveredBlock {
        let words = [payer.into_word(), payee.into_word(), U256::from(1).into()];
        let input: Vec<u8> =
            [0x23, 0xb8, 0x72, 0xdd].into_iter().chain(words.iter().flat_map(|w| w.0)).collect();
        let tx =
            TxEip1559 { to: TxKind::Call(TOKEN), input: Bytes::from(input), ..Default::default() };
        let signed = Signed::new_unhashed(tx, Signature::new(U256::ONE, U256::ONE, false));
        let body =
            BlockBody { transactions: vec![TxEnvelope::Eip1559(signed)], ..Default::default() };
        let block = Block { header: Header::default(), body };
        RecoveredBlock::with_senders(block, vec![caller]).unwrap()
    }

    /// What it reads: balances at place 3, allowances at 4, and whether it is paused.
    fn reads(caller: Address, payer: Address, payee: Address) -> HashSet<(Address, U256)> {
        let [caller, payer, payee] =
            [caller, payer, payee].map(|address| U256::from_be_slice(address.as_slice()));
        let [paused, balances, allowances] = [0, 3, 4].map(U256::from);
        let allowance = entry(caller, entry(payer, allowances));
        let slots = [paused, entry(payer, balances), entry(payee, balances), allowance];
        slots.into_iter().map(|slot| (TOKEN, slot)).collect()
    }

    fn predicted(habits: &Habits, block: &RecoveredBlock) -> HashSet<(Address, U256)> {
        let mut wanted = Vec::new();
        habits.predict(block, &mut wanted);
        let slots = wanted.iter().map(|wanted| match wanted {
            Wanted::Slot(address, slot) => (*address, *slot),
            other => panic!("{other:?} is no slot"),
        });
        slots.collect()
    }

    fn address(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    #[test]
    fn the_slots_of_the_next_call_follow_from_those_of_the_last() {
        let mut habits = Habits::default();
        let (first, second) = ([1, 2, 3].map(address), [4, 5, 6].map(address));
        let [block_1, block_2] = [first, second].map(|[a, b, c]| block(a, b, c));
        let [reads_1, reads_2] = [first, second].map(|[a, b, c]| reads(a, b, c));
        assert!(predicted(&habits, &block_1).is_empty());
        habits.learn(&block_1, |account, slot| reads_1.contains(&(account, slot)));
        assert_eq!(predicted(&habits, &block_2), reads_2);
    }

    #[test]
    fn what_does_not_hold_any_more_is_forgotten() {
        let mut habits = Habits::default();
        let block = block(address(1), address(2), address(3));
        let reads = reads(address(1), address(2), address(3));
        habits.learn(&block, |account, slot| reads.contains(&(account, slot)));
        habits.learn(&block, |_, _| false);
        assert!(predicted(&habits, &block).is_empty());
        habits.learn(&block, |account, _| account == OTHER);
        assert!(predicted(&habits, &block).is_empty());
    }

    /// Whatever is read, a function has few patterns.
    #[test]
    fn patterns_are_bounded() {
        let mut habits = Habits::default();
        let block = block(address(1), address(2), address(3));
        habits.learn(&block, |_, _| true);
        assert!(predicted(&habits, &block).len() <= MOST_PATTERNS);
    }
}
