//! Whether a block is refused for the reason that its test gives.
//!
//! Tests name what is wrong as execution-spec-tests does, with alternatives between bars where a
//! client may find either first. Each of our errors stands for one name, or for few where the suite
//! distinguishes what one rule forbids.

use alloy_evm::block::BlockValidationError;
use pleach_engine::{
    BlockError, ExecuteError,
    validate::{BodyError, HeaderError, OmmerError, OutputError},
};
use revm::context_interface::result::InvalidTransaction;

use super::chain::ImportError;

/// Whether an error is what a test expects.
pub(super) fn is_expected(error: &ImportError, expected: &str) -> bool {
    let names = names(error);
    let alternatives = expected.split('|').map(str::trim);
    alternatives
        .filter_map(|alternative| alternative.split_once('.'))
        .any(|(_, name)| names.contains(&name))
}

/// Whether an error says that a transaction is not counted in the header, where a test expects the
/// transaction itself to be invalid. Some tests put one in without changing the header: the block
/// must then be refused for the transaction, too, once the header counts it.
pub(super) fn hides_transaction(error: &ImportError, expected: &str) -> bool {
    let uncounted = matches!(error, ImportError::Body(BodyError::TransactionsRoot { .. }));
    uncounted && expected.split('|').all(|name| name.trim().starts_with("TransactionException."))
}

/// The names of what an error reports.
fn names(error: &ImportError) -> &'static [&'static str] {
    match error {
        ImportError::Block(error) => of_block(error),
        ImportError::UnknownParent(_) => &["UNKNOWN_PARENT"],
        ImportError::Header(error) => of_header(error),
        ImportError::Body(error) => of_body(error),
        ImportError::Ommers(error) => of_ommers(error),
        ImportError::Execution(error) => of_execution(error),
        ImportError::Output(error) => of_output(error),
        ImportError::StateRoot { .. } => &["INVALID_STATE_ROOT"],
        // No test may expect our paths to differ, or our tries to fail.
        ImportError::Paths(_) | ImportError::RootBetween(_) => &[],
    }
}

/// Blob and set-code transactions must have a recipient, and a block's transactions no blobs: what
/// breaks that has no place in the types, and does not decode.
fn of_block(error: &BlockError) -> &'static [&'static str] {
    match error {
        BlockError::Rlp(_) | BlockError::TrailingBytes { .. } => &[
            "RLP_STRUCTURES_ENCODING",
            "RLP_INVALID_ADDRESS",
            "RLP_INVALID_FIELD_OVERFLOW_64",
            "RLP_WITHDRAWALS_NOT_READ",
            "INCORRECT_BLOCK_FORMAT",
            "TYPE_NOT_SUPPORTED",
            "TYPE_3_TX_CONTRACT_CREATION",
            "TYPE_3_TX_WITH_FULL_BLOBS",
            "TYPE_4_TX_CONTRACT_CREATION",
            // A gas price of more than 128 bits.
            "GASLIMIT_PRICE_PRODUCT_OVERFLOW",
        ],
        BlockError::Recovery { .. } => &["INVALID_SIGNATURE_VRS", "INVALID_TRANSACTION_SENDER"],
        _ => &[],
    }
}

fn of_header(error: &HeaderError) -> &'static [&'static str] {
    match error {
        HeaderError::ParentHash { .. } => &["UNKNOWN_PARENT"],
        HeaderError::Number { .. } => &["INVALID_BLOCK_NUMBER"],
        HeaderError::Timestamp { .. } => &["INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT"],
        HeaderError::GasUsedAboveLimit { .. } => &["INVALID_GAS_USED_ABOVE_LIMIT"],
        HeaderError::GasLimitBounds { .. } => &["GASLIMIT_TOO_BIG", "INVALID_GASLIMIT"],
        HeaderError::GasLimitStep { .. } => &["INVALID_GASLIMIT"],
        HeaderError::ExtraDataLength { .. } => &["EXTRA_DATA_TOO_BIG"],
        HeaderError::DaoExtraData { .. } => &["EXTRA_DATA_INVALID_DAO"],
        // A block as after the Merge, before it.
        HeaderError::Difficulty { difficulty, .. } if difficulty.is_zero() => {
            &["INVALID_DIFFICULTY", "IMPORT_IMPOSSIBLE_PARIS_WRONG_POS"]
        }
        HeaderError::Difficulty { .. } => &["INVALID_DIFFICULTY"],
        HeaderError::DifficultyAfterMerge { .. } | HeaderError::NonceAfterMerge => &[
            "INVALID_DIFFICULTY",
            "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
            "IMPORT_IMPOSSIBLE_PARIS_WRONG_POW",
        ],
        HeaderError::OmmersHashAfterMerge { .. } => &["IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS"],
        // A block as after London, before it.
        HeaderError::BaseFee { expected: None, .. } => {
            &["INVALID_BASEFEE_PER_GAS", "IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT"]
        }
        // A block as before London, after it.
        HeaderError::BaseFee { given: None, .. } => {
            &["INVALID_BASEFEE_PER_GAS", "IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT"]
        }
        HeaderError::BaseFee { .. } => &["INVALID_BASEFEE_PER_GAS"],
        HeaderError::FieldPresence { field: "withdrawalsRoot", present: true } => {
            &["INCORRECT_BLOCK_FORMAT", "IMPORT_IMPOSSIBLE_SHANGHAI"]
        }
        HeaderError::FieldPresence { field: "withdrawalsRoot", present: false } => {
            &["INCORRECT_BLOCK_FORMAT", "IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI"]
        }
        HeaderError::FieldPresence { .. } => &["INCORRECT_BLOCK_FORMAT"],
        // The header counts the transactions' blobs, and they are too many.
        HeaderError::BlobGasUsed { .. } => {
            &["BLOB_GAS_USED_ABOVE_LIMIT", "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"]
        }
        HeaderError::ExcessBlobGas { .. } => &["INCORRECT_EXCESS_BLOB_GAS"],
        _ => &[],
    }
}

fn of_body(error: &BodyError) -> &'static [&'static str] {
    match error {
        BodyError::TransactionsRoot { .. } => &["INVALID_TRANSACTIONS_ROOT"],
        BodyError::OmmersHash { .. } => &["INVALID_UNCLES_HASH"],
        BodyError::OmmersAfterMerge { .. } => &["IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS"],
        BodyError::WithdrawalsRoot { body: None, .. } => {
            &["INVALID_WITHDRAWALS_ROOT", "RLP_WITHDRAWALS_NOT_READ"]
        }
        BodyError::WithdrawalsRoot { .. } => &["INVALID_WITHDRAWALS_ROOT"],
        BodyError::BlobGasUsed { .. } => &["INCORRECT_BLOB_GAS_USED"],
        BodyError::BlobSidecar { .. } => &["TYPE_3_TX_WITH_FULL_BLOBS"],
        BodyError::ReplayProtection { .. } => &["INVALID_CHAINID"],
        BodyError::BlockLength { .. } => &["RLP_BLOCK_LIMIT_EXCEEDED"],
        _ => &[],
    }
}

fn of_ommers(error: &OmmerError) -> &'static [&'static str] {
    match error {
        OmmerError::TooMany { .. } => &["TOO_MANY_UNCLES"],
        OmmerError::Duplicate { .. } => &["UNCLE_IN_CHAIN", "UNCLES_ARE_IDENTICAL"],
        OmmerError::IsAncestor { .. } => &["UNCLE_IS_ANCESTOR", "UNCLE_IN_CHAIN"],
        OmmerError::Unrelated { .. } => &["UNCLE_UNKNOWN_PARENT", "UNCLE_PARENT_INCORRECT"],
        OmmerError::Header { source, .. } => of_header(source),
        _ => &[],
    }
}

fn of_execution(error: &ExecuteError) -> &'static [&'static str] {
    let source = match error {
        ExecuteError::PreExecution(source)
        | ExecuteError::PostExecution(source)
        | ExecuteError::Transaction { source, .. } => source,
        _ => return &[],
    };
    use BlockValidationError as Block;
    match source.as_validation() {
        Some(Block::InvalidTx { error, .. }) => {
            error.as_invalid_tx_err().map_or(&[], of_transaction)
        }
        Some(Block::TransactionGasLimitMoreThanAvailableBlockGas { .. }) => {
            &["GAS_ALLOWANCE_EXCEEDED"]
        }
        Some(Block::DepositRequestDecode(_)) => &["INVALID_DEPOSIT_EVENT_LAYOUT"],
        Some(
            Block::WithdrawalRequestsContractCall { .. }
            | Block::ConsolidationRequestsContractCall { .. },
        ) => &["SYSTEM_CONTRACT_CALL_FAILED"],
        _ => &[],
    }
}

fn of_output(error: &OutputError) -> &'static [&'static str] {
    match error {
        OutputError::GasUsed { .. } => &["INVALID_GAS_USED"],
        OutputError::BlobGasUsed { .. } => &["INCORRECT_BLOB_GAS_USED"],
        OutputError::ReceiptsRoot { .. } => &["INVALID_RECEIPTS_ROOT"],
        OutputError::LogsBloom => &["INVALID_LOG_BLOOM"],
        OutputError::RequestsHash { .. } => &["INVALID_REQUESTS"],
        OutputError::DepositLayout { .. } => &["INVALID_DEPOSIT_EVENT_LAYOUT"],
        OutputError::SystemContractEmpty { .. } => &["SYSTEM_CONTRACT_EMPTY"],
        _ => &[],
    }
}

fn of_transaction(error: &InvalidTransaction) -> &'static [&'static str] {
    use InvalidTransaction as Tx;
    match error {
        Tx::PriorityFeeGreaterThanMaxFee => &["PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"],
        Tx::GasPriceLessThanBasefee => &["INSUFFICIENT_MAX_FEE_PER_GAS"],
        Tx::CallerGasLimitMoreThanBlock => &["GAS_ALLOWANCE_EXCEEDED"],
        Tx::CallGasCostMoreThanGasLimit { .. } => &["INTRINSIC_GAS_TOO_LOW"],
        Tx::GasFloorMoreThanGasLimit { .. } => &["INTRINSIC_GAS_BELOW_FLOOR_GAS_COST"],
        Tx::RejectCallerWithCode => &["SENDER_NOT_EOA"],
        Tx::LackOfFundForMaxFee { .. } => &["INSUFFICIENT_ACCOUNT_FUNDS"],
        Tx::OverflowPaymentInTransaction => {
            &["GASLIMIT_PRICE_PRODUCT_OVERFLOW", "INSUFFICIENT_ACCOUNT_FUNDS"]
        }
        Tx::NonceOverflowInTransaction => &["NONCE_IS_MAX"],
        Tx::NonceTooHigh { .. } => &["NONCE_MISMATCH_TOO_HIGH"],
        Tx::NonceTooLow { .. } => &["NONCE_MISMATCH_TOO_LOW"],
        Tx::CreateInitCodeSizeLimit => &["INITCODE_SIZE_EXCEEDED"],
        Tx::InvalidChainId | Tx::MissingChainId => &["INVALID_CHAINID"],
        Tx::TxGasLimitGreaterThanCap { .. } => &["GAS_LIMIT_EXCEEDS_MAXIMUM"],
        Tx::BlobGasPriceGreaterThanMax { .. } => &["INSUFFICIENT_MAX_FEE_PER_BLOB_GAS"],
        Tx::EmptyBlobs => &["TYPE_3_TX_ZERO_BLOBS"],
        Tx::BlobCreateTransaction => &["TYPE_3_TX_CONTRACT_CREATION"],
        Tx::TooManyBlobs { .. } => &["TYPE_3_TX_BLOB_COUNT_EXCEEDED"],
        Tx::BlobVersionNotSupported => &["TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH"],
        Tx::EmptyAuthorizationList => &["TYPE_4_EMPTY_AUTHORIZATION_LIST"],
        Tx::AccessListNotSupported | Tx::Eip2930NotSupported => {
            &["TYPE_1_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"]
        }
        Tx::Eip1559NotSupported => &["TYPE_2_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"],
        Tx::MaxFeePerBlobGasNotSupported
        | Tx::BlobVersionedHashesNotSupported
        | Tx::Eip4844NotSupported => &["TYPE_3_TX_PRE_FORK"],
        Tx::AuthorizationListNotSupported | Tx::Eip7702NotSupported => &["TYPE_4_TX_PRE_FORK"],
        _ => &[],
    }
}
