//! What each kind of block is made of.

use alloy_primitives::{Address, U256};

use super::{
    Kind,
    artifact::Contract,
    call::Draft,
    world::{ETHER, Pool, World},
};

/// A block's transactions before they are signed.
pub(super) struct Plan {
    /// In block order.
    pub(super) drafts: Vec<Draft>,
    /// A transaction that may not be in the block, and the place where it is nevertheless.
    pub(super) invalid: Option<(usize, Draft)>,
}

/// Makes `count` transactions of a kind and the accounts they need.
pub(super) fn plan(kind: Kind, world: &mut World, count: usize) -> Plan {
    let drafts = match kind {
        Kind::Transfers => transfers(world, count),
        Kind::Erc20 => erc20(world, count),
        Kind::Swaps => swaps(world, count),
        Kind::Mints => mints(world, count),
        Kind::Contended => contended(world, count),
        Kind::IndependentErc20 => independent_erc20(world, count),
        Kind::IndependentSwaps => independent_swaps(world, count),
        Kind::HotPair => hot_pair(world, count),
        Kind::HotPool => hot_pool(world, count),
        Kind::HotErc20Recipient => hot_erc20_recipient(world, count),
        Kind::Invalid | Kind::WithoutInvalid => {
            return around_invalid(world, count, kind == Kind::Invalid);
        }
        Kind::SelfDestruct | Kind::WithoutSelfDestruct => {
            around_self_destruct(world, count, kind == Kind::SelfDestruct)
        }
    };
    Plan { drafts, invalid: None }
}

/// Every transfer has a sender and a recipient of its own.
fn transfers(world: &mut World, count: usize) -> Vec<Draft> {
    let senders = world.add_senders(count);
    let pay = |sender| {
        let to = world.recipient();
        Draft::transfer(sender, to, world.numbers.within(1, ETHER))
    };
    senders.map(pay).collect()
}

/// Twelve tokens; one sender in sixteen and one recipient in eight comes more than once.
fn erc20(world: &mut World, count: usize) -> Vec<Draft> {
    let tokens = add_tokens(world, 12);
    let senders = world.add_senders(count);
    let mut recipients = vec![world.recipient()];
    let send = |newest: usize| {
        let earlier = world.numbers.within(senders.start as u64, newest as u64 + 1) as usize;
        let sender = if world.numbers.one_in(16) { earlier } else { newest };
        let to = if world.numbers.one_in(8) {
            pick(world, &recipients)
        } else {
            recipients.push(world.recipient());
            recipients[recipients.len() - 1]
        };
        let token = pick(world, &tokens);
        send_tokens(world, sender, token, to)
    };
    senders.clone().map(send).collect()
}

/// Every transfer has a sender and a recipient of its own; sixteen tokens.
fn independent_erc20(world: &mut World, count: usize) -> Vec<Draft> {
    let tokens = add_tokens(world, 16);
    let senders = world.add_senders(count);
    let send = |sender| {
        let (token, to) = (pick(world, &tokens), world.recipient());
        send_tokens(world, sender, token, to)
    };
    senders.map(send).collect()
}

/// Everybody pays the same account, in the same token.
fn hot_erc20_recipient(world: &mut World, count: usize) -> Vec<Draft> {
    let token = world.deploy(Contract::Token);
    let to = world.recipient();
    let senders = world.add_senders(count);
    senders.map(|sender| send_tokens(world, sender, token, to)).collect()
}

/// Two accounts send ether to each other, in turns.
fn hot_pair(world: &mut World, count: usize) -> Vec<Draft> {
    let pair = world.add_senders(2);
    let addresses = [pair.start, pair.start + 1].map(|sender| world.senders[sender].address);
    let pay = |turn: usize| {
        let to = addresses[(turn + 1) % 2];
        Draft::transfer(pair.start + turn % 2, to, world.numbers.within(1, ETHER / 1000))
    };
    (0..count).map(pay).collect()
}

/// One account sends all transfers, each to somebody else.
fn nonce_chain(world: &mut World, count: usize) -> Vec<Draft> {
    let sender = world.add_senders(1).start;
    let pay = |_| {
        let to = world.recipient();
        Draft::transfer(sender, to, world.numbers.within(1, ETHER / 1000))
    };
    (0..count).map(pay).collect()
}

/// Forty pools of one common token, some traded in more often; one trade in seven goes through
/// two of them.
fn swaps(world: &mut World, count: usize) -> Vec<Draft> {
    let common = world.deploy(Contract::Token);
    let tokens = add_tokens(world, 40);
    let pools: Vec<_> = tokens.iter().map(|token| world.add_pool(common, *token)).collect();
    let senders = world.add_senders(count);
    let trade = |sender| {
        // The smaller of two numbers: the first pools are the popular ones.
        let first = world.numbers.below(40).min(world.numbers.below(40)) as usize;
        let second = (first + 1 + world.numbers.below(39) as usize) % 40;
        let path = match world.numbers.below(7) {
            0 => vec![tokens[first], common, tokens[second]],
            1..4 => vec![common, tokens[first]],
            _ => vec![tokens[first], common],
        };
        sell(world, sender, &pools[first], &path)
    };
    senders.map(trade).collect()
}

/// Every trade has a sender, a pool and two tokens of its own.
fn independent_swaps(world: &mut World, count: usize) -> Vec<Draft> {
    let senders = world.add_senders(count);
    let trade = |sender| {
        let (a, b) = (world.deploy(Contract::Token), world.deploy(Contract::Token));
        let pool = world.add_pool(a, b);
        sell_either(world, sender, &pool)
    };
    senders.map(trade).collect()
}

/// Everybody trades in the same pool, in either direction.
fn hot_pool(world: &mut World, count: usize) -> Vec<Draft> {
    let (a, b) = (world.deploy(Contract::Token), world.deploy(Contract::Token));
    let pool = world.add_pool(a, b);
    let senders = world.add_senders(count);
    senders.map(|sender| sell_either(world, sender, &pool)).collect()
}

/// Four collections of chosen ids, and one mint in eight from one of four that count.
fn mints(world: &mut World, count: usize) -> Vec<Draft> {
    let open = [(); 4].map(|()| world.deploy(Contract::OpenCollectible));
    let numbered = [(); 4].map(|()| world.deploy(Contract::NumberedCollectible));
    let senders = world.add_senders(count);
    let mint = |sender| {
        if world.numbers.one_in(8) {
            Draft::mint_next(sender, pick(world, &numbered))
        } else {
            Draft::mint(sender, pick(world, &open), world.numbers.next())
        }
    };
    senders.map(mint).collect()
}

/// Everybody mints the next number of one collection.
fn hot_counter(world: &mut World, count: usize) -> Vec<Draft> {
    let collectible = world.deploy(Contract::NumberedCollectible);
    world.add_senders(count).map(|sender| Draft::mint_next(sender, collectible)).collect()
}

/// Three fifths fight over a pool, an ERC-20 recipient, a nonce and a counter; the others are
/// independent; all in a mixed order.
fn contended(world: &mut World, count: usize) -> Vec<Draft> {
    type Part = fn(&mut World, usize) -> Vec<Draft>;
    const PERCENT: [(Part, usize); 8] = [
        (hot_pool, 25),
        (hot_erc20_recipient, 15),
        (nonce_chain, 10),
        (hot_counter, 10),
        (transfers, 15),
        (independent_erc20, 10),
        (independent_swaps, 10),
        (mints, 5),
    ];
    let parts = PERCENT.iter();
    let mut drafts: Vec<_> =
        parts.flat_map(|(part, percent)| part(world, count * percent / 100)).collect();
    world.numbers.shuffle(&mut drafts);
    drafts
}

/// Independent ERC-20 transfers, and in their middle one whose nonce comes too early.
fn around_invalid(world: &mut World, count: usize, present: bool) -> Plan {
    let drafts = independent_erc20(world, count);
    let sender = world.add_senders(1).start;
    let to = world.recipient();
    let draft = Draft::transfer(sender, to, ETHER / 1000);
    let invalid = present.then_some((drafts.len() / 2, draft));
    Plan { drafts, invalid }
}

/// Independent ERC-20 transfers, and in their middle one contract that is made and destroyed.
fn around_self_destruct(world: &mut World, count: usize, present: bool) -> Vec<Draft> {
    let mut drafts = independent_erc20(world, count);
    let sender = world.add_senders(1).start;
    let (cradle, heir) = (world.deploy(Contract::Cradle), world.recipient());
    if present {
        let hatch = Draft::hatch(sender, cradle, heir, ETHER / 1000);
        drafts.insert(drafts.len() / 2, hatch);
    }
    drafts
}

fn add_tokens(world: &mut World, count: usize) -> Vec<Address> {
    (0..count).map(|_| world.deploy(Contract::Token)).collect()
}

fn pick(world: &mut World, addresses: &[Address]) -> Address {
    addresses[world.numbers.below(addresses.len() as u64) as usize]
}

/// Sends some of the tokens that the sender is given; half of the recipients have some already.
fn send_tokens(world: &mut World, sender: usize, token: Address, to: Address) -> Draft {
    let holder = world.senders[sender].address;
    let amount = U256::from(world.numbers.within(1, ETHER));
    world.give(token, holder, amount * U256::from(2));
    if world.numbers.one_in(2) {
        let some = U256::from(world.numbers.within(1, ETHER));
        world.give(token, to, some);
    }
    Draft::send_tokens(sender, token, to, amount)
}

/// Sells one of a pool's tokens for the other.
fn sell_either(world: &mut World, sender: usize, pool: &Pool) -> Draft {
    let [a, b] = pool.tokens;
    let path = if world.numbers.one_in(2) { [a, b] } else { [b, a] };
    sell(world, sender, pool, &path)
}

/// Sells the path's first token, for at most a hundred-thousandth of what the first pool holds of
/// it, so that many trades leave the price about where it was. Half of the sellers have some of
/// what they buy.
fn sell(world: &mut World, sender: usize, pool: &Pool, path: &[Address]) -> Draft {
    let holder = world.senders[sender].address;
    let side = usize::from(pool.tokens[0] != path[0]);
    let parts = world.numbers.within(100_000, 10_000_000);
    let amount = pool.reserves[side] / U256::from(parts);
    world.give(path[0], holder, amount * U256::from(2));
    world.approve_router(path[0], holder);
    if world.numbers.one_in(2) {
        let some = U256::from(world.numbers.within(1, ETHER));
        world.give(path[path.len() - 1], holder, some);
    }
    Draft::swap(sender, world.router, path, amount, holder)
}
