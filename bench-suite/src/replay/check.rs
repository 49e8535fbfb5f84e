//! What a block's header allows to be checked.

use std::fmt::Display;

use alloy_consensus::{
    Block, Header, TxEnvelope,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip7928::compute_block_access_list_hash;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::B256;
use pleach_engine::{BlockOutput, ChainSpec, receipts_root_with};
use serde::Serialize;

/// Longer values, such as a bloom of 256 bytes, are shortened in reports.
const MAX_SHOWN: usize = 80;

/// A value that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The name of the check.
    pub what: &'static str,
    /// The header's value, or serial execution's.
    pub expected: String,
    /// The value computed.
    pub got: String,
}

/// Something that the header commits to and that was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotChecked {
    /// The name of the check.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// The checks made of one block. Each name is either in `checked`, whatever its result, or in
/// `not_checked`, or in neither if the block's fork does not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Names of what was compared.
    pub checked: Vec<&'static str>,
    /// What was not, and why.
    pub not_checked: Vec<NotChecked>,
    /// What was compared and differs.
    pub mismatches: Vec<Mismatch>,
}

impl Checks {
    /// Compares two values under a name.
    pub fn compare<T: PartialEq + Display>(&mut self, what: &'static str, expected: T, got: T) {
        self.checked.push(what);
        if expected != got {
            let (expected, got) = (shorten(expected.to_string()), shorten(got.to_string()));
            self.mismatches.push(Mismatch { what, expected, got });
        }
    }

    /// Compares two values that a fork may not have; neither side having one is no check at all.
    fn compare_optional<T: PartialEq + Display>(
        &mut self,
        what: &'static str,
        expected: Option<T>,
        got: Option<T>,
    ) {
        if expected.is_some() || got.is_some() {
            let shown =
                |value: Option<T>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
            self.compare(what, shown(expected), shown(got));
        }
    }

    /// Notes that something is not checked.
    pub fn skip(&mut self, what: &'static str, why: &'static str) {
        self.not_checked.push(NotChecked { what, why });
    }

    /// Checks the header against the block's body, which needs no execution.
    pub fn check_body(&mut self, block: &Block<TxEnvelope>) {
        let (header, body) = (&block.header, &block.body);
        let root = calculate_transaction_root(&body.transactions);
        self.compare("transactions_root", header.transactions_root, root);
        let withdrawals = body.calculate_withdrawals_root();
        self.compare_optional("withdrawals_root", header.withdrawals_root, withdrawals);
        if body.ommers.is_empty() && !header.ommers_hash_is_empty() {
            self.skip(
                "ommers_hash",
                "the block was given without its ommers, which only rewards need",
            );
        } else {
            self.compare("ommers_hash", header.ommers_hash, body.calculate_ommers_root());
        }
    }

    /// Checks the header against what executing the block gave. Before Byzantium that takes the
    /// state root after each transaction, which only a trie gives.
    pub fn check_output(
        &mut self,
        chain: &ChainSpec,
        header: &Header,
        output: &BlockOutput,
        roots: Option<&[B256]>,
    ) {
        self.compare("gas_used", header.gas_used, output.gas_used);
        let blob_gas = header.blob_gas_used.map(|_| output.blob_gas_used);
        self.compare_optional("blob_gas_used", header.blob_gas_used, blob_gas);
        if chain.is_byzantium_active_at_block(header.number) {
            let root = calculate_receipt_root(&output.receipts);
            self.compare("receipts_root", header.receipts_root, root);
        } else if let Some(roots) = roots {
            let root = receipts_root_with(&output.receipts, roots);
            self.compare("receipts_root", header.receipts_root, root);
        } else {
            self.skip(
                "receipts_root",
                "before Byzantium a receipt holds the state root after its transaction, and a \
                 flat prestate holds no trie",
            );
        }
        self.compare("logs_bloom", header.logs_bloom, output.logs_bloom());
        let requests = header.requests_hash.map(|_| output.requests.requests_hash());
        self.compare_optional("requests_hash", header.requests_hash, requests);
        const LIST: &str = "access_list_hash";
        match (header.block_access_list_hash, &output.access_list) {
            (Some(hash), Some(list)) => {
                self.compare(LIST, hash, compute_block_access_list_hash(list))
            }
            (Some(_), None) if !self.checked.contains(&LIST) => {
                self.skip(LIST, "no list was made: --bal makes one");
            }
            _ => {}
        }
    }

    /// Checks the root that a witness was given for against the parent's header.
    pub fn check_pre_state_root(&mut self, parent: Option<B256>, given: B256) {
        const WHAT: &str = "pre_state_root";
        match parent {
            Some(parent) => self.compare(WHAT, parent, given),
            None => self.skip(WHAT, "the witness does not hold the parent's header"),
        }
    }

    /// Checks the header's state root against that after each kind of execution.
    pub fn check_state_roots(&mut self, header: &Header, roots: &[(&'static str, B256)]) {
        const WHAT: &str = "state_root";
        self.not_checked.retain(|not| not.what != WHAT);
        if !self.checked.contains(&WHAT) {
            self.checked.push(WHAT);
        }
        let wrong = roots.iter().filter(|(_, root)| *root != header.state_root);
        self.mismatches.extend(wrong.map(|(execution, root)| Mismatch {
            what: WHAT,
            expected: header.state_root.to_string(),
            got: format!("{root} after {execution} execution"),
        }));
    }

    /// Notes how parallel execution's output differs from serial's, if it does.
    pub fn compare_with_serial(&mut self, difference: Option<String>) {
        const WHAT: &str = "serial_equal";
        if !self.checked.contains(&WHAT) {
            self.checked.push(WHAT);
        }
        let known = self.mismatches.iter().any(|mismatch| mismatch.what == WHAT);
        if let Some(got) = difference.filter(|_| !known) {
            let expected = "what serial execution gives".to_owned();
            self.mismatches.push(Mismatch { what: WHAT, expected, got });
        }
    }
}

fn shorten(mut value: String) -> String {
    if value.len() > MAX_SHOWN && value.is_ascii() {
        let tail = value.split_off(value.len() - 16);
        value.truncate(MAX_SHOWN - 17);
        value = format!("{value}…{tail}");
    }
    value
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bloom;

    use super::*;

    #[test]
    fn a_difference_is_named_with_both_values() {
        let mut checks = Checks::default();
        checks.compare("gas_used", 21_000, 21_000);
        checks.compare("blob_gas_used", 1, 2);
        checks.compare("logs_bloom", Bloom::ZERO, Bloom::repeat_byte(1));
        assert_eq!(checks.checked, ["gas_used", "blob_gas_used", "logs_bloom"]);
        let Mismatch { what, expected, got } = &checks.mismatches[0];
        assert_eq!((*what, expected.as_str(), got.as_str()), ("blob_gas_used", "1", "2"));
        assert!(checks.mismatches[1].got.chars().count() <= MAX_SHOWN);
    }

    #[test]
    fn what_a_fork_lacks_is_no_check() {
        let mut checks = Checks::default();
        checks.compare_optional::<u64>("requests_hash", None, None);
        assert_eq!(checks, Checks::default());
        checks.compare_optional("withdrawals_root", None, Some(1));
        assert_eq!(checks.mismatches[0].expected, "none");
    }

    #[test]
    fn a_wrong_root_names_the_execution_that_gave_it() {
        let (right, wrong) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let header = Header { state_root: right, ..Header::default() };
        let mut checks = Checks::default();
        checks.check_pre_state_root(None, right);
        checks.check_state_roots(&header, &[("serial", right), ("parallel", wrong)]);
        assert_eq!(checks.checked, ["state_root"]);
        assert_eq!(checks.not_checked[0].what, "pre_state_root");
        let [Mismatch { what, expected, got }] = checks.mismatches.as_slice() else {
            panic!("one of the two is wrong: {:?}", checks.mismatches);
        };
        assert_eq!((*what, expected), ("state_root", &right.to_string()));
        assert_eq!(*got, format!("{wrong} after parallel execution"));
    }

    #[test]
    fn serial_equality_is_told_once() {
        let mut checks = Checks::default();
        checks.compare_with_serial(None);
        checks.compare_with_serial(Some("gas_used".to_owned()));
        checks.compare_with_serial(Some("bundle".to_owned()));
        assert_eq!((checks.checked.len(), checks.mismatches.len()), (1, 1));
        assert_eq!(checks.mismatches[0].got, "gas_used");
    }
}
