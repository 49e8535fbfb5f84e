//! Blocks full of conflicts, built from a seed.

use std::sync::Arc;

use alloy_consensus::{Header, Signed, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex};
use pleach_state::{FlatAccount, FlatState};
use revm::state::AccountInfo;

/// A block to execute, and the state to execute it on.
pub(crate) struct TestBlock {
    pub(crate) state: Arc<FlatState>,
    pub(crate) header: Header,
    pub(crate) txs: Vec<Recovered<TxEnvelope>>,
}

/// A time in Cancun on mainnet, in seconds since 1970.
const CANCUN_TIME: u64 = 1_720_000_000;
const ETHER: u64 = 1_000_000_000_000_000_000;
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);
/// Adds one to its slot 0.
pub(crate) const COUNTER: Address = Address::repeat_byte(0xc0);
/// Stores under its caller the balance of the account that the call data names.
pub(crate) const BALANCE_READER: Address = Address::repeat_byte(0xba);
/// Sends 0.4 ether to the account that the call data names; stores under its caller whether it
/// could.
pub(crate) const PAYER: Address = Address::repeat_byte(0xfa);
/// Calls the account that its call data names with the rest of the call data; stores what is
/// returned under its own caller.
pub(crate) const CALLER: Address = Address::repeat_byte(0xca);
/// Nobody pays it, but its balance is looked at.
pub(crate) const ONLOOKED: Address = Address::repeat_byte(0x10);
/// Self-destructs in favour of the account that the call data names.
pub(crate) const DESTRUCT: Address = Address::repeat_byte(0xde);

pub(crate) fn sender(number: u64) -> Address {
    Address::left_padding_from(&(0x5e00_0000 + number).to_be_bytes())
}

pub(crate) fn word(address: Address) -> Bytes {
    Bytes::copy_from_slice(address.into_word().as_slice())
}

/// A source of numbers that a seed replays.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// Senders in the blocks; each sends a few transactions.
pub(crate) const SENDERS: u64 = 40;

/// The senders and the contracts above.
pub(crate) fn state() -> FlatState {
    let mut state = FlatState::new();
    for number in 0..SENDERS {
        insert(&mut state, sender(number), 10 * ETHER, &[]);
    }
    insert(&mut state, BENEFICIARY, 1, &[]);
    insert(&mut state, ONLOOKED, 1, &[]);
    insert(&mut state, COUNTER, 0, &hex!("60005460010160005500"));
    insert(&mut state, BALANCE_READER, 0, &hex!("600035313355 00"));
    let payer = hex!("600060006000600067058d15e1762800006000355af1335500");
    insert(&mut state, PAYER, ETHER, &payer);
    let caller = hex!("602036036020600037602060006020360360006000600035") // copies, pushes
        .into_iter()
        .chain(hex!("5af150600051335500"));
    insert(&mut state, CALLER, 0, &caller.collect::<Vec<_>>());
    insert(&mut state, DESTRUCT, 7, &hex!("600035ff"));
    state
}

pub(crate) fn insert(state: &mut FlatState, address: Address, balance: u64, code: &[u8]) {
    let code_hash = state.insert_code(Bytes::copy_from_slice(code));
    let info = AccountInfo { balance: U256::from(balance), code_hash, ..AccountInfo::default() };
    state.insert_account(address, FlatAccount { info, ..FlatAccount::default() });
}

pub(crate) fn header() -> Header {
    Header {
        number: 20_200_000,
        timestamp: CANCUN_TIME,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        beneficiary: BENEFICIARY,
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        parent_beacon_block_root: Some(Default::default()),
        ..Header::default()
    }
}

/// A transaction whose signature nobody looks at: the sender is said to be recovered.
pub(crate) fn tx(
    from: Address,
    nonce: u64,
    to: Address,
    value: u64,
    input: Bytes,
) -> Recovered<TxEnvelope> {
    let tx = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input,
        ..TxEip1559::default()
    };
    let signed = Signed::new_unhashed(tx, Signature::test_signature());
    Recovered::new_unchecked(TxEnvelope::Eip1559(signed), from)
}

/// A block of `count` transactions that pay, count, look at balances, draw on one contract, and
/// call the accounts in `callees` (an address and call data) by way of [`CALLER`].
pub(crate) fn block(seed: u64, count: usize, callees: &[(Address, Bytes)]) -> TestBlock {
    let mut numbers = Numbers(seed);
    let mut nonces = [0; SENDERS as usize];
    let txs = (0..count).map(|_| {
        let from = numbers.below(SENDERS);
        let nonce = nonces[from as usize];
        nonces[from as usize] += 1;
        let other = sender(numbers.below(SENDERS + 2));
        let from = sender(from);
        match numbers.below(10) {
            0 | 1 => tx(from, nonce, other, numbers.below(ETHER), Bytes::new()),
            2 => tx(from, nonce, COUNTER, 0, Bytes::new()),
            3 => tx(from, nonce, BALANCE_READER, 0, word(other)),
            4 => tx(from, nonce, BALANCE_READER, 0, word(BENEFICIARY)),
            5 => tx(from, nonce, PAYER, 0, word(other)),
            7 => tx(from, nonce, BALANCE_READER, 0, word(ONLOOKED)),
            6 => tx(from, nonce, DESTRUCT, 5, word(PAYER)),
            _ => {
                let call = numbers.below(callees.len().max(1) as u64) as usize;
                let (callee, data) = callees.get(call).cloned().unwrap_or_default();
                let input = [word(callee), data].concat();
                tx(from, nonce, CALLER, 0, input.into())
            }
        }
    });
    TestBlock { txs: txs.collect(), state: Arc::new(state()), header: header() }
}

/// A block in which every second transaction is invalid or not, as the one before it leaves its
/// sender rich or poor: the sender's own, or one that pays the sender.
pub(crate) fn block_of_the_poor(count: u64) -> TestBlock {
    let mut state = state();
    let mut txs = Vec::new();
    for number in 0..count {
        let (rich, poor) = (sender(100 + 2 * number), sender(101 + 2 * number));
        insert(&mut state, rich, ETHER, &[]);
        insert(&mut state, poor, 1, &[]);
        let all_but_fee = ETHER - 200_000 * 3_000_000_000;
        if number % 2 == 0 {
            txs.push(tx(rich, 0, poor, all_but_fee, Bytes::new()));
            txs.push(tx(poor, 0, COUNTER, ETHER / 2, Bytes::new()));
        } else {
            txs.push(tx(rich, 0, poor, all_but_fee, Bytes::new()));
            txs.push(tx(rich, 1, poor, ETHER / 2, Bytes::new()));
        }
    }
    TestBlock { txs, state: Arc::new(state), header: header() }
}
