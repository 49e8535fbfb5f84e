//! What a block's changes replaced.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use super::codec::{Decoded, decode_account, decode_word, encode_account, encode_word};
use crate::mpt::AccountFields;

/// The accounts that a block changed, as they were before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diff(pub(super) BTreeMap<Address, AccountBefore>);

/// An account before a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AccountBefore {
    /// None if there was no such account.
    pub(super) account: Option<AccountFields>,
    /// The slots that changed; zero for those that there were not.
    pub(super) slots: BTreeMap<U256, U256>,
}

impl Diff {
    /// Takes in what an earlier block's changes replaced, so that this is what all replaced.
    pub(super) fn precede(&mut self, earlier: Self) {
        for (address, before) in earlier.0 {
            let held = self.0.entry(address).or_default();
            held.account = before.account;
            held.slots.extend(before.slots);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (address, before) in &self.0 {
            out.extend_from_slice(address.as_slice());
            short(&before.account.as_ref().map(encode_account).unwrap_or_default(), &mut out);
            out.extend_from_slice(&(before.slots.len() as u32).to_le_bytes());
            for (slot, value) in &before.slots {
                short(&encode_word(slot), &mut out);
                short(&encode_word(value), &mut out);
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Decoded<Self> {
        let mut bytes = Bytes(bytes);
        let mut diff = Self::default();
        while !bytes.0.is_empty() {
            let address = Address::from_slice(bytes.take(20)?);
            let account = match bytes.short()? {
                [] => None,
                account => Some(decode_account(account)?),
            };
            let count = <[u8; 4]>::try_from(bytes.take(4)?).map_err(|_| "four bytes")?;
            let mut slots = BTreeMap::new();
            for _ in 0..u32::from_le_bytes(count) {
                let slot = decode_word(bytes.short()?)?;
                slots.insert(slot, decode_word(bytes.short()?)?);
            }
            diff.0.insert(address, AccountBefore { account, slots });
        }
        Ok(diff)
    }
}

/// Appends at most 255 bytes, behind their length.
fn short(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(bytes.len()).expect("accounts and words are short"));
    out.extend_from_slice(bytes);
}

/// Bytes to be read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Decoded<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the diff ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn short(&mut self) -> Decoded<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    fn diff() -> Diff {
        let account =
            AccountFields { nonce: 7, balance: U256::MAX, code_hash: B256::repeat_byte(3) };
        let slots = BTreeMap::from([(U256::ZERO, U256::MAX), (U256::MAX, U256::ZERO)]);
        Diff(BTreeMap::from([
            (Address::repeat_byte(1), AccountBefore { account: Some(account), slots }),
            (Address::repeat_byte(2), AccountBefore::default()),
        ]))
    }

    #[test]
    fn a_diff_is_read_as_it_was_written() {
        assert_eq!(Diff::decode(&diff().encode()), Ok(diff()));
    }

    #[test]
    fn a_diff_that_is_cut_off_is_refused() {
        let bytes = diff().encode();
        // The second account takes 25 bytes; without it the diff is whole again.
        for length in (1..bytes.len()).filter(|length| *length != bytes.len() - 25) {
            assert!(Diff::decode(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn the_earliest_state_counts() {
        let mut later = diff();
        let slots = BTreeMap::from([(U256::ZERO, U256::from(5)), (U256::from(9), U256::from(9))]);
        let before = AccountBefore { account: None, slots };
        later.precede(Diff(BTreeMap::from([(Address::repeat_byte(1), before)])));
        let account = &later.0[&Address::repeat_byte(1)];
        assert_eq!(account.account, None);
        let slots: Vec<_> = account.slots.clone().into_iter().collect();
        let nine = U256::from(9);
        let expected = [(U256::ZERO, U256::from(5)), (nine, nine), (U256::MAX, U256::ZERO)];
        assert_eq!(slots, expected);
    }
}
