//! Transactions before they are signed: who calls what.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::TIMESTAMP;

/// A transaction without nonce, fees and signature.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The sender's place in the world's list.
    pub(super) sender: usize,
    /// Who is called.
    pub(super) to: Address,
    /// Wei sent along.
    pub(super) value: U256,
    /// Selector and arguments; empty for a plain transfer.
    pub(super) input: Bytes,
    /// The gas that the sender allows.
    pub(super) gas_limit: u64,
}

impl Draft {
    /// Sends ether to an account without code.
    pub(super) fn transfer(sender: usize, to: Address, wei: u64) -> Self {
        Self { sender, to, value: U256::from(wei), input: Bytes::new(), gas_limit: 21_000 }
    }

    /// Sends ERC-20 tokens.
    pub(super) fn send_tokens(sender: usize, token: Address, to: Address, amount: U256) -> Self {
        let input = encode("transfer(address,uint256)", &[to.into_word(), amount.into()]);
        Self { sender, to: token, value: U256::ZERO, input, gas_limit: 90_000 }
    }

    /// Sells tokens along a path of tokens, whatever the price.
    pub(super) fn swap(
        sender: usize,
        router: Address,
        path: &[Address],
        amount: U256,
        to: Address,
    ) -> Self {
        // The path's place is counted from the arguments' begin; its length comes first.
        let deadline = U256::from(TIMESTAMP + 1200);
        let head = [amount, U256::ONE, U256::from(5 * 32), word(to), deadline];
        let tail = [U256::from(path.len())].into_iter().chain(path.iter().copied().map(word));
        let words: Vec<B256> = head.into_iter().chain(tail).map(B256::from).collect();
        let input = encode("swapExactIn(uint256,uint256,address[],address,uint256)", &words);
        let gas_limit = 150_000 + 100_000 * (path.len() as u64 - 1);
        Self { sender, to: router, value: U256::ZERO, input, gas_limit }
    }

    /// Mints a collectible of a chosen id.
    pub(super) fn mint(sender: usize, collectible: Address, id: u64) -> Self {
        let input = encode("mint(uint256)", &[U256::from(id).into()]);
        Self { sender, to: collectible, value: U256::ZERO, input, gas_limit: 120_000 }
    }

    /// Mints the collectible of the next number.
    pub(super) fn mint_next(sender: usize, collectible: Address) -> Self {
        let input = encode("mint()", &[]);
        Self { sender, to: collectible, value: U256::ZERO, input, gas_limit: 120_000 }
    }

    /// Has a contract made and destroyed, which leaves its ether to an heir.
    pub(super) fn hatch(sender: usize, cradle: Address, heir: Address, wei: u64) -> Self {
        let input = encode("hatch(address)", &[heir.into_word()]);
        Self { sender, to: cradle, value: U256::from(wei), input, gas_limit: 300_000 }
    }
}

/// A call's input: the first four bytes of the signature's hash, then the arguments' words.
fn encode(signature: &str, words: &[B256]) -> Bytes {
    let mut input = keccak256(signature)[..4].to_vec();
    input.extend(words.iter().flatten());
    input.into()
}

fn word(address: Address) -> U256 {
    address.into_word().into()
}
