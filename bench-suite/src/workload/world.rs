//! The state before a block: accounts with ether, tokens with holders, pools with reserves.
//!
//! Nothing is executed to make it. Runtime code and storage slots are written straight into the
//! state, as the contracts' storage layouts say.

use std::ops::Range;

use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use pleach_state::{FlatAccount, FlatState};
use rayon::prelude::*;
use revm::state::AccountInfo;

use super::{
    TIMESTAMP,
    artifact::{Artifact, Contract, mapping_slot},
    seed::{Numbers, Seed},
    sign::Sender,
};

/// One ether in wei, and one whole token.
pub(super) const ETHER: u64 = 1_000_000_000_000_000_000;

/// Bytes of EIP-7251's contract on mainnet; alloy's constant is padded with two zero bytes.
const CONSOLIDATION_CODE_LEN: usize = 414;

/// A state in the making, and the accounts whose keys are known.
pub(super) struct World {
    pub(super) seed: Seed,
    pub(super) numbers: Numbers,
    pub(super) state: FlatState,
    pub(super) senders: Vec<Sender>,
    pub(super) beneficiary: Address,
    pub(super) router: Address,
    artifacts: Vec<(Artifact, B256)>,
    addresses_made: u64,
}

/// A market between two tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    /// The tokens, the lower address first.
    pub(super) tokens: [Address; 2],
    /// How much of each token the pool holds.
    pub(super) reserves: [U256; 2],
}

impl World {
    /// A state with the system contracts, a beneficiary and a router.
    pub(super) fn new(seed: Seed) -> Self {
        let mut state = FlatState::new();
        add_system_contracts(&mut state);
        let artifacts = Contract::ALL.map(|contract| {
            let artifact = Artifact::load(contract);
            let hash = state.insert_code(artifact.deployed_bytecode.clone());
            (artifact, hash)
        });
        let mut world = Self {
            seed,
            numbers: seed.numbers("world"),
            state,
            senders: Vec::new(),
            beneficiary: seed.address("beneficiary", 0),
            router: Address::ZERO,
            artifacts: artifacts.into(),
            addresses_made: 0,
        };
        world.fund(world.beneficiary, U256::from(ETHER), 0);
        world.router = world.deploy(Contract::Router);
        world
    }

    /// An address that no other account of this state has.
    pub(super) fn fresh_address(&mut self) -> Address {
        self.addresses_made += 1;
        self.seed.address("account", self.addresses_made)
    }

    /// The address of somebody to pay: seven of eight exist already.
    pub(super) fn recipient(&mut self) -> Address {
        let address = self.fresh_address();
        if !self.numbers.one_in(8) {
            let balance = self.numbers.within(1, ETHER);
            self.fund(address, U256::from(balance), 0);
        }
        address
    }

    /// Adds accounts that can send: their keys are known, they have 1,000 to 2,000 ether and have
    /// sent before. Returns their places in `senders`.
    pub(super) fn add_senders(&mut self, count: usize) -> Range<usize> {
        let range = self.senders.len()..self.senders.len() + count;
        let seed = self.seed;
        let made = range.clone().into_par_iter().with_min_len(16);
        let made: Vec<_> =
            made.map(|index| Sender::from_key(seed.hash("key", index as u64))).collect();
        for mut sender in made {
            sender.nonce = self.numbers.below(1000);
            let balance = U256::from(ETHER) * U256::from(self.numbers.within(1000, 2000));
            self.fund(sender.address, balance, sender.nonce);
            self.senders.push(sender);
        }
        range
    }

    /// Puts a contract's runtime code at a fresh address.
    pub(super) fn deploy(&mut self, contract: Contract) -> Address {
        let address = self.fresh_address();
        let code_hash = self.artifact(contract).1;
        insert_contract(&mut self.state, address, code_hash);
        address
    }

    /// Gives tokens to a holder; the supply grows by as much.
    pub(super) fn give(&mut self, token: Address, holder: Address, amount: U256) {
        self.credit(Contract::Token, token, holder, amount);
    }

    /// Lets the router move all that a holder has of a token.
    pub(super) fn approve_router(&mut self, token: Address, holder: Address) {
        let allowances = self.slot(Contract::Token, "allowance");
        let of_holder = mapping_slot(allowances, holder.into_word());
        let slot = mapping_slot(of_holder, self.router.into_word());
        self.state.insert_slot(token, slot, U256::MAX);
    }

    /// Makes a pool of two tokens, filled with 10,000 to 1,000,000 of each, and lists it with the
    /// router. It was last traded in before this block.
    pub(super) fn add_pool(&mut self, a: Address, b: Address) -> Pool {
        let pair = self.deploy(Contract::Pair);
        let tokens = if a < b { [a, b] } else { [b, a] };
        let reserves = [(); 2].map(|()| {
            U256::from(self.numbers.within(10_000, 1_000_000)) * U256::from(ETHER)
                + U256::from(self.numbers.below(ETHER))
        });
        for (token, reserve) in tokens.into_iter().zip(reserves) {
            self.give(token, pair, reserve);
        }
        self.add_shares(pair, (reserves[0] * reserves[1]).root(2));
        self.set_pair_variables(pair, tokens, reserves);
        self.list_pair(pair, tokens);
        Pool { tokens, reserves }
    }

    fn add_shares(&mut self, pair: Address, shares: U256) {
        let locked = U256::from(1000);
        let provider = self.fresh_address();
        self.credit(Contract::Pair, pair, Address::ZERO, locked);
        self.credit(Contract::Pair, pair, provider, shares - locked);
    }

    fn set_pair_variables(&mut self, pair: Address, tokens: [Address; 2], reserves: [U256; 2]) {
        let last_change = TIMESTAMP - 12 * self.numbers.within(1, 10_000);
        let packed = reserves[0] | (reserves[1] << 112) | (U256::from(last_change) << 224);
        let word = |address: Address| U256::from_be_bytes(address.into_word().0);
        let price_sums = [(); 2].map(|()| U256::from(self.numbers.next()) << 96);
        let variables = [
            ("token0", word(tokens[0])),
            ("token1", word(tokens[1])),
            ("reserve0", packed),
            ("price0Cumulative", price_sums[0]),
            ("price1Cumulative", price_sums[1]),
            ("entered", U256::ONE),
        ];
        for (label, value) in variables {
            self.state.insert_slot(pair, self.slot(Contract::Pair, label), value);
        }
    }

    fn list_pair(&mut self, pair: Address, tokens: [Address; 2]) {
        let pairs = self.slot(Contract::Router, "pairOf");
        for (token, other) in [(tokens[0], tokens[1]), (tokens[1], tokens[0])] {
            let of_token = mapping_slot(pairs, token.into_word());
            let slot = mapping_slot(of_token, other.into_word());
            self.state.insert_slot(self.router, slot, pair.into_word().into());
        }
    }

    /// Adds to a balance and to the supply of an ERC-20 token, which a pool's shares are too.
    fn credit(&mut self, contract: Contract, token: Address, holder: Address, amount: U256) {
        let balances = self.slot(contract, "balanceOf");
        let supply = self.slot(contract, "totalSupply");
        for slot in [mapping_slot(balances, holder.into_word()), supply] {
            let account = self.state.account(&token);
            let old = account.and_then(|account| account.storage.get(&slot)).copied();
            self.state.insert_slot(token, slot, old.unwrap_or_default() + amount);
        }
    }

    fn fund(&mut self, address: Address, balance: U256, nonce: u64) {
        let info = AccountInfo { balance, nonce, ..AccountInfo::default() };
        self.state.insert_account(address, FlatAccount { info, ..FlatAccount::default() });
    }

    fn slot(&self, contract: Contract, label: &str) -> U256 {
        self.artifact(contract).0.slot(label)
    }

    fn artifact(&self, contract: Contract) -> &(Artifact, B256) {
        &self.artifacts[contract as usize]
    }
}

/// The contracts that blocks call by rule: EIP-2935, EIP-4788, EIP-7002 and EIP-7251.
fn add_system_contracts(state: &mut FlatState) {
    let consolidation = CONSOLIDATION_REQUEST_PREDEPLOY_CODE.slice(..CONSOLIDATION_CODE_LEN);
    let contracts: [(Address, Bytes); 4] = [
        (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()),
        (BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE.clone()),
        (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone()),
        (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, consolidation),
    ];
    for (address, code) in contracts {
        let code_hash = keccak256(&code);
        state.insert_code(code);
        insert_contract(state, address, code_hash);
    }
}

fn insert_contract(state: &mut FlatState, address: Address, code_hash: B256) {
    let info = AccountInfo { nonce: 1, code_hash, ..AccountInfo::default() };
    state.insert_account(address, FlatAccount { info, ..FlatAccount::default() });
}
