//! One typed error per consensus rule.

use alloy_primitives::{Address, B256, Bytes, U256};

/// A header breaks a rule about itself or its parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header does not name the parent it was given.
    #[error("the header names parent {named}, but its parent's hash is {parent}")]
    ParentHash {
        /// What the header names.
        named: B256,
        /// The parent's hash.
        parent: B256,
    },
    /// The number does not follow the parent's.
    #[error("block number {number} does not follow its parent's number {parent}")]
    Number {
        /// The header's number.
        number: u64,
        /// The parent's number.
        parent: u64,
    },
    /// The time stamp is not after the parent's.
    #[error("time stamp {timestamp} is not after the parent's {parent}")]
    Timestamp {
        /// The header's time, seconds since 1970.
        timestamp: u64,
        /// The parent's time, seconds since 1970.
        parent: u64,
    },
    /// More gas was used than the limit allows.
    #[error("gas used {used} is above the block's gas limit {limit}")]
    GasUsedAboveLimit {
        /// Gas used, as the header says.
        used: u64,
        /// The header's gas limit.
        limit: u64,
    },
    /// The gas limit is out of its absolute bounds.
    #[error("gas limit {limit} is not within 5000 and 2^63 - 1")]
    GasLimitBounds {
        /// The header's gas limit.
        limit: u64,
    },
    /// The gas limit moved by 1/1024 of the parent's or more.
    #[error("gas limit {limit} is 1/1024 or more away from the parent's {parent}")]
    GasLimitStep {
        /// The header's gas limit.
        limit: u64,
        /// The parent's gas limit, doubled at the London transition (EIP-1559).
        parent: u64,
    },
    /// The extra data is longer than 32 bytes.
    #[error("extra data has {length} bytes, 32 are allowed")]
    ExtraDataLength {
        /// Bytes of extra data.
        length: usize,
    },
    /// One of the first ten blocks of the DAO fork does not say so.
    #[error("extra data {given} is not \"dao-hard-fork\", which the DAO fork asks for here")]
    DaoExtraData {
        /// The header's extra data.
        given: Bytes,
    },
    /// The difficulty is not what the parent gives.
    #[error("difficulty {difficulty} is not {expected}, which follows from the parent")]
    Difficulty {
        /// The header's difficulty.
        difficulty: U256,
        /// What the fork's formula gives.
        expected: U256,
    },
    /// A block after the Merge has a difficulty (EIP-3675).
    #[error("difficulty {difficulty} is not zero, as EIP-3675 asks after the Merge")]
    DifficultyAfterMerge {
        /// The header's difficulty.
        difficulty: U256,
    },
    /// A block after the Merge has a proof-of-work nonce (EIP-3675).
    #[error("nonce is not zero, as EIP-3675 asks after the Merge")]
    NonceAfterMerge,
    /// A block after the Merge names ommers (EIP-3675).
    #[error("ommers hash {ommers_hash} is not that of no ommers, as EIP-3675 asks after the Merge")]
    OmmersHashAfterMerge {
        /// The header's ommers hash.
        ommers_hash: B256,
    },
    /// The base fee is not what the parent gives (EIP-1559).
    #[error("base fee {given:?} wei is not {expected:?}, which follows from the parent")]
    BaseFee {
        /// The header's base fee per gas in wei.
        given: Option<u64>,
        /// What EIP-1559 gives; none before London.
        expected: Option<u64>,
    },
    /// A field is there before its fork, or is missing from its fork on.
    #[error(
        "field {field} is {state}, against the rules of the block's fork",
        state = if *.present { "present" } else { "missing" }
    )]
    FieldPresence {
        /// The header's field.
        field: &'static str,
        /// Whether the header has it.
        present: bool,
    },
    /// The blob gas used is no whole number of blobs, or too many of them (EIP-4844).
    #[error("blob gas used {used} is not a whole number of blobs up to {max}")]
    BlobGasUsed {
        /// Blob gas used, as the header says.
        used: u64,
        /// The most that a block of this time may use.
        max: u64,
    },
    /// The excess blob gas is not what the parent gives (EIP-4844, EIP-7918).
    #[error("excess blob gas {given} is not {expected}, which follows from the parent")]
    ExcessBlobGas {
        /// The header's excess blob gas.
        given: u64,
        /// What follows from the parent.
        expected: u64,
    },
}

/// A block's ommers break a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OmmerError {
    /// More than two.
    #[error("{count} ommers, two are allowed")]
    TooMany {
        /// Ommers in the block.
        count: usize,
    },
    /// Named twice in this block or named by an ancestor already.
    #[error("ommer {hash} is included a second time")]
    Duplicate {
        /// The ommer's hash.
        hash: B256,
    },
    /// An ancestor of the block is no ommer.
    #[error("ommer {hash} is an ancestor of the block")]
    IsAncestor {
        /// The ommer's hash.
        hash: B256,
    },
    /// The ommer's parent is not among the six nearest proper ancestors.
    #[error("ommer {hash}: its parent {parent} is not an ancestor in reach")]
    Unrelated {
        /// The ommer's hash.
        hash: B256,
        /// The parent that it names.
        parent: B256,
    },
    /// The ommer's header is not valid.
    #[error("ommer {hash}: {source}")]
    Header {
        /// The ommer's hash.
        hash: B256,
        /// The rule it breaks.
        source: HeaderError,
    },
}

/// A block's body does not fit its header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The transactions' root differs.
    #[error("the header's transactions root {header} is not that of the body, {body}")]
    TransactionsRoot {
        /// What the header says.
        header: B256,
        /// What the body gives.
        body: B256,
    },
    /// The ommers' hash differs.
    #[error("the header's ommers hash {header} is not that of the body, {body}")]
    OmmersHash {
        /// What the header says.
        header: B256,
        /// What the body gives.
        body: B256,
    },
    /// A block after the Merge has ommers (EIP-3675).
    #[error("{count} ommers in a block after the Merge")]
    OmmersAfterMerge {
        /// Ommers in the block.
        count: usize,
    },
    /// The withdrawals' root differs, or one of the two has none (EIP-4895).
    #[error("the header's withdrawals root {header:?} is not that of the body, {body:?}")]
    WithdrawalsRoot {
        /// What the header says.
        header: Option<B256>,
        /// What the body gives.
        body: Option<B256>,
    },
    /// The header's blob gas is not that of the transactions (EIP-4844).
    #[error("the header's blob gas {header} is not that of the transactions, {body}")]
    BlobGasUsed {
        /// What the header says.
        header: u64,
        /// What the transactions use.
        body: u64,
    },
    /// A blob transaction carries its blobs, which belong beside a block (EIP-4844).
    #[error("transaction {index} carries its blobs inside the block")]
    BlobSidecar {
        /// The transaction's place in the block, from 0.
        index: usize,
    },
    /// A transaction signs for a chain before the EIP that allows it (EIP-155).
    #[error("transaction {index} is replay protected, which this block's fork does not know")]
    ReplayProtection {
        /// The transaction's place in the block, from 0.
        index: usize,
    },
    /// The block is longer than allowed (EIP-7934).
    #[error("the block's RLP has {length} bytes, {max} are allowed")]
    BlockLength {
        /// Bytes of the block's RLP.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
}

/// Execution did not give what the header says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Gas used differs.
    #[error("gas used is {executed}, but the header says {header}")]
    GasUsed {
        /// What the header says.
        header: u64,
        /// What execution gave.
        executed: u64,
    },
    /// Blob gas used differs.
    #[error("blob gas used is {executed}, but the header says {header}")]
    BlobGasUsed {
        /// What the header says.
        header: u64,
        /// What execution gave.
        executed: u64,
    },
    /// The receipts' root differs.
    #[error("the receipts root is {executed}, but the header says {header}")]
    ReceiptsRoot {
        /// What the header says.
        header: B256,
        /// What execution gave.
        executed: B256,
    },
    /// The logs' bloom differs.
    #[error("the logs bloom is not the header's")]
    LogsBloom,
    /// The requests' hash differs (EIP-7685).
    #[error("the requests hash is {executed}, but the header says {header}")]
    RequestsHash {
        /// What the header says.
        header: B256,
        /// What execution gave.
        executed: B256,
    },
    /// A deposit event has another layout than EIP-6110 asks for.
    #[error("transaction {index} emits a deposit event whose layout is not that of EIP-6110")]
    DepositLayout {
        /// The transaction's place in the block, from 0.
        index: usize,
    },
    /// The block access list's hash differs (EIP-7928).
    #[error("the block access list's hash is {executed}, but the header says {header}")]
    AccessListHash {
        /// What the header says.
        header: B256,
        /// What execution gave.
        executed: B256,
    },
    /// A contract that the end of the block calls has no code (EIP-7002, EIP-7251).
    #[error("system contract {address} has no code at the end of the block")]
    SystemContractEmpty {
        /// The contract.
        address: Address,
    },
    /// The state before the block could not say whether a system contract has code.
    #[error("system contract {address} cannot be read: {reason}")]
    SystemContractUnreadable {
        /// The contract.
        address: Address,
        /// What the state says.
        reason: String,
    },
}
