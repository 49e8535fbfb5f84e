//! Who gets a transaction whose dependency is done, one step after another.
#![cfg(not(loom))]

use pleach_scheduler::{Frontier, Scheduler, TxIdx, Version};

const MAX_INCARNATIONS: u32 = 3;

/// A scheduler all of whose transactions are claimed.
fn all_claimed(transactions: usize) -> (Scheduler, Vec<Version>) {
    let scheduler = Scheduler::new(transactions, MAX_INCARNATIONS);
    let versions = (0..transactions).map(|_| scheduler.claim().expect("all are ready")).collect();
    (scheduler, versions)
}

fn commit(scheduler: &Scheduler, index: TxIdx) {
    assert_eq!(scheduler.frontier(), index);
    assert!(scheduler.commit(index));
}

/// Whoever waits for a transaction that nobody runs yet is released when it has run.
#[test]
fn a_mark_outlives_the_claim_of_what_is_awaited() {
    let (scheduler, versions) = all_claimed(2);
    scheduler.abort(versions[0]);
    scheduler.wait_for(versions[1], 0);
    let again = scheduler.claim().expect("the aborted one is ready again");
    assert_eq!(again.index, 0);
    assert_eq!(scheduler.claim(), None, "the other waits");
    scheduler.finish(again);
    assert_eq!(scheduler.claim(), Some(Version { index: 1, incarnation: 1 }));
}

/// The next link of a chain that has arrived at the frontier is the committer's, if it is free.
#[test]
fn the_next_link_is_left_to_a_free_committer() {
    let (scheduler, versions) = all_claimed(2);
    scheduler.set_committer_waits(true);
    scheduler.postpone(versions[1], 0);
    scheduler.finish(versions[0]);
    assert_eq!(scheduler.claim(), None, "no worker takes it");
    commit(&scheduler, 0);
    assert_eq!(scheduler.at_frontier(), Frontier::Claimed(versions[1]));
    commit(&scheduler, 1);
    assert!(scheduler.is_halted());
}

/// A committer with something to do leaves the next link to the thread that ran the last one.
#[test]
fn the_next_link_is_any_threads_while_the_committer_is_busy() {
    let (scheduler, versions) = all_claimed(2);
    scheduler.postpone(versions[1], 0);
    scheduler.finish(versions[0]);
    assert_eq!(scheduler.claim(), Some(versions[1]));
}

/// Nor does the committer get what is far from the frontier: it would wait there for long.
#[test]
fn what_is_far_from_the_frontier_is_any_threads() {
    for by_commit in [false, true] {
        let (scheduler, versions) = all_claimed(10);
        scheduler.set_committer_waits(!by_commit);
        scheduler.postpone(versions[9], 0);
        match by_commit {
            true => commit(&scheduler, 0),
            false => scheduler.finish(versions[0]),
        }
        assert_eq!(scheduler.claim(), Some(versions[9]), "by commit: {by_commit}");
    }
}

/// Of several that wait for one, each becomes ready for all threads.
#[test]
fn several_that_waited_are_all_any_threads() {
    let (scheduler, versions) = all_claimed(3);
    scheduler.set_committer_waits(true);
    scheduler.postpone(versions[1], 0);
    scheduler.postpone(versions[2], 0);
    scheduler.finish(versions[0]);
    let mut claimed = [scheduler.claim(), scheduler.claim()];
    claimed.sort();
    assert_eq!(claimed, [Some(versions[1]), Some(versions[2])]);
}

/// Who has been released once, and waits for another by now, stays where it is when the first
/// dependency, run again, is done again.
#[test]
fn a_released_waiter_is_forgotten() {
    let (scheduler, versions) = all_claimed(4);
    scheduler.postpone(versions[2], 0);
    scheduler.finish(versions[0]);
    assert_eq!(scheduler.claim(), Some(versions[2]));
    scheduler.postpone(versions[2], 1);
    assert_eq!(scheduler.at_frontier(), Frontier::Executed(versions[0]));
    assert!(scheduler.reclaim(versions[0]));
    scheduler.postpone(versions[3], 0);
    commit(&scheduler, 0);
    let claimed = scheduler.claim().map(|version| version.index);
    assert_ne!(claimed, Some(2), "it waits for 1, which runs");
    scheduler.finish(versions[1]);
}

/// A block is over with its last commit, and not with the last but one.
#[test]
fn the_block_goes_on_until_its_last_commit() {
    let (scheduler, versions) = all_claimed(2);
    scheduler.finish(versions[0]);
    scheduler.finish(versions[1]);
    commit(&scheduler, 0);
    assert!(!scheduler.is_halted());
    commit(&scheduler, 1);
    assert!(scheduler.is_halted());
}

/// Incarnations that are spent are the committer's, however they ended.
#[test]
fn spent_incarnations_are_left_to_the_committer() {
    let scheduler = Scheduler::new(2, 1);
    let [first, second] = [(); 2].map(|()| scheduler.claim().expect("ready"));
    scheduler.wait_for(second, 0);
    scheduler.abort(first);
    assert_eq!(scheduler.claim(), None);
    for index in 0..2 {
        assert_eq!(scheduler.at_frontier(), Frontier::Claimed(Version { index, incarnation: 1 }));
        commit(&scheduler, index);
    }
}
