//! Blocks made from a seed: real signed transactions that call real contracts.
//!
//! A workload's block is an Osaka block of Ethereum mainnet that a header check accepts: it has
//! been executed once, serially, and its header says what came out, state root included. The same
//! seed gives the same bytes, with any number of threads.
//!
//! The contracts are in `bench-suite/contracts`: sources, compiled artifacts and the script that
//! makes the one from the other.

pub mod artifact;
mod call;
mod chain;
mod recipe;
mod seal;
mod seed;
mod sign;
mod state_root;
mod world;

use std::sync::Arc;

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::Address;
use pleach_engine::ChainSpec;
use pleach_state::FlatState;

pub(crate) use self::seed::Numbers;
pub use self::{
    chain::{TestChain, amsterdam_chain, chain},
    state_root::state_root,
};
use self::{
    recipe::{Plan, plan},
    seal::Frame,
    seed::Seed,
    world::World,
};

/// Gas that each built-in block uses, about.
pub const BUILTIN_GAS: u64 = 30_000_000;

const CHAIN_ID: u64 = 1;
/// Mainnet slot 13,598,000: Osaka with its second blob-parameter fork.
const TIMESTAMP: u64 = 1_606_824_023 + 12 * 13_598_000;
const NUMBER: u64 = 24_370_000;
/// One gwei.
const BASE_FEE: u64 = 1_000_000_000;

/// A block and the state before it.
#[derive(Debug, Clone)]
pub struct Workload {
    /// What [`Kind::name`] says.
    pub name: &'static str,
    /// The rules: Ethereum mainnet's.
    pub chain: Arc<ChainSpec>,
    /// The block, its header filled in.
    pub block: Block<TxEnvelope>,
    /// One sender per transaction.
    pub senders: Vec<Address>,
    /// All accounts there are.
    pub prestate: FlatState,
    /// The place of the transaction that may not be in the block, from 0. Such a block must be
    /// refused; its header says what the block gives without that transaction.
    pub invalid: Option<usize>,
}

/// What a block is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain transfers, every sender and every recipient its own. Built in.
    Transfers,
    /// ERC-20 transfers between mostly distinct accounts, in twelve tokens. Built in.
    Erc20,
    /// Trades in forty pools, one in seven through two of them. Built in.
    Swaps,
    /// Mints of chosen ids and, one in eight, of the next number. Built in.
    Mints,
    /// A hot pool, a hot ERC-20 recipient, a sender's nonce chain and a counter, among
    /// independent transactions. Built in.
    Contended,
    /// ERC-20 transfers, every sender and every recipient its own, in sixteen tokens.
    IndependentErc20,
    /// Trades, each with a pool, two tokens and a sender of its own.
    IndependentSwaps,
    /// Plain transfers between two accounts, in turns.
    HotPair,
    /// Trades in one pool.
    HotPool,
    /// ERC-20 transfers to one account.
    HotErc20Recipient,
    /// Independent ERC-20 transfers and, in their middle, one plain transfer whose nonce is too
    /// high.
    Invalid,
    /// The block of [`Kind::Invalid`] without that transaction.
    WithoutInvalid,
    /// Independent ERC-20 transfers and, in their middle, one contract that is created and
    /// self-destructs.
    SelfDestruct,
    /// The block of [`Kind::SelfDestruct`] without that transaction.
    WithoutSelfDestruct,
}

impl Kind {
    /// The kinds of the built-in blocks.
    pub const BUILTIN: [Self; 5] =
        [Self::Transfers, Self::Erc20, Self::Swaps, Self::Mints, Self::Contended];

    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Transfers,
        Self::Erc20,
        Self::Swaps,
        Self::Mints,
        Self::Contended,
        Self::IndependentErc20,
        Self::IndependentSwaps,
        Self::HotPair,
        Self::HotPool,
        Self::HotErc20Recipient,
        Self::Invalid,
        Self::WithoutInvalid,
        Self::SelfDestruct,
        Self::WithoutSelfDestruct,
    ];

    /// A short name, as reports and the command line use it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::Swaps => "swap",
            Self::Mints => "nft",
            Self::Contended => "contended",
            Self::IndependentErc20 => "independent-erc20",
            Self::IndependentSwaps => "independent-swaps",
            Self::HotPair => "hot-pair",
            Self::HotPool => "hot-pool",
            Self::HotErc20Recipient => "hot-erc20-recipient",
            Self::Invalid => "invalid",
            Self::WithoutInvalid => "without-invalid",
            Self::SelfDestruct => "self-destruct",
            Self::WithoutSelfDestruct => "without-self-destruct",
        }
    }

    /// The kind of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Gas that a transaction uses on average, measured; it tells how many fill a block.
    const fn average_gas(self) -> u64 {
        match self {
            Self::Transfers | Self::HotPair => 21_000,
            Self::Erc20 => 42_900,
            Self::Swaps => 102_700,
            Self::Mints => 69_100,
            Self::Contended => 59_600,
            Self::IndependentErc20
            | Self::Invalid
            | Self::WithoutInvalid
            | Self::SelfDestruct
            | Self::WithoutSelfDestruct => 43_000,
            Self::HotErc20Recipient => 34_400,
            Self::IndependentSwaps => 104_800,
            Self::HotPool => 94_200,
        }
    }
}

/// The built-in blocks, about [`BUILTIN_GAS`] each.
///
/// # Panics
/// As [`generate`].
pub fn builtin(seed: u64) -> Vec<Workload> {
    Kind::BUILTIN.into_iter().map(|kind| generate(kind, BUILTIN_GAS, seed)).collect()
}

/// Makes a block of a kind that uses about this much gas: within a twentieth from
/// [`BUILTIN_GAS`] on. Signs on the threads of the current rayon pool.
///
/// # Panics
/// If the generator made a block that serial execution refuses, or a committed artifact is
/// malformed: both would be bugs here.
pub fn generate(kind: Kind, gas: u64, seed: u64) -> Workload {
    let chain = Arc::new(ChainSpec::mainnet());
    let seed = Seed(seed);
    let mut world = World::new(seed);
    let Plan { drafts, invalid } = plan(kind, &mut world, (gas / kind.average_gas()) as usize);
    let txs = sign::sign_all(&mut world.senders, &drafts);
    let address_of = |draft: &call::Draft| world.senders[draft.sender].address;
    let mut senders: Vec<_> = drafts.iter().map(address_of).collect();
    let frame = Frame { seed, beneficiary: world.beneficiary };
    let (mut block, prestate) = seal::seal(&chain, &frame, txs, &senders, world.state);
    if let Some((index, draft)) = &invalid {
        let tx = sign::sign_too_early(&world.senders, draft);
        seal::insert_transaction(&mut block, *index, tx);
        senders.insert(*index, address_of(draft));
    }
    let invalid = invalid.map(|(index, _)| index);
    Workload { name: kind.name(), chain, block, senders, prestate, invalid }
}
