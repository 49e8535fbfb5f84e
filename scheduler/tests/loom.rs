//! Models of the protocol under loom: `bash .ci/run loom`. Without loom there is nothing to run
//! here.
#![cfg(loom)]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use pleach_scheduler::{Chains, Frontier, Head, Pen, Scheduler, Version};

/// Work as the engine's workers do, calling `run` for each claimed version.
fn worker(scheduler: &Scheduler, run: impl Fn(&Scheduler, Version)) {
    while !scheduler.is_halted() {
        match scheduler.claim() {
            Some(version) => run(scheduler, version),
            None => scheduler.sleep_until_work(),
        }
    }
}

/// Commits as the engine's committer does, and helps while the frontier is busy; a result stands if
/// `stands` says so.
fn committer(
    scheduler: &Scheduler,
    run: impl Fn(&Scheduler, Version),
    stands: impl Fn(Version) -> bool,
) {
    while !scheduler.is_halted() {
        match scheduler.at_frontier() {
            Frontier::Claimed(version) => assert!(scheduler.commit(version.index)),
            Frontier::Executed(version) if stands(version) => {
                assert!(scheduler.commit(version.index));
            }
            Frontier::Executed(version) => {
                assert!(scheduler.reclaim(version));
                assert!(scheduler.commit(version.index));
            }
            Frontier::Busy => match scheduler.claim() {
                Some(version) => run(scheduler, version),
                None => scheduler.sleep_until_frontier(),
            },
        }
    }
}

#[test]
fn two_claimers_never_get_the_same_version() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 2));
        let other = Arc::clone(&scheduler);
        let there = thread::spawn(move || (other.claim(), other.claim()));
        let here = scheduler.claim();
        let (first, second) = there.join().unwrap();
        let mut claimed: Vec<_> = [here, first, second].into_iter().flatten().collect();
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 2, "both transactions, each once");
    });
}

#[test]
fn a_worker_and_the_committer_never_get_the_same_transaction() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(1, 2));
        let other = Arc::clone(&scheduler);
        let there = thread::spawn(move || other.claim().is_some());
        let here = matches!(scheduler.at_frontier(), Frontier::Claimed(_));
        assert_ne!(here, there.join().unwrap(), "one of the two, and not both");
    });
}

#[test]
fn a_waiter_is_released_whenever_its_dependency_finishes() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 3));
        let lower = scheduler.claim().unwrap();
        let upper = scheduler.claim().unwrap();
        let other = Arc::clone(&scheduler);
        let finisher = thread::spawn(move || other.finish(lower));
        scheduler.wait_for(upper, lower.index);
        finisher.join().unwrap();
        let again = scheduler.claim().expect("released, and found by the cursor");
        assert_eq!((again.index, again.incarnation), (1, 1));
    });
}

#[test]
fn one_worker_and_the_committer_finish_a_block() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 2));
        let runs = Arc::new(AtomicUsize::new(0));
        let (other, counted) = (Arc::clone(&scheduler), Arc::clone(&runs));
        let thread = thread::spawn(move || {
            worker(&other, |scheduler, version| {
                counted.fetch_add(1, Ordering::Relaxed);
                scheduler.finish(version);
            });
        });
        committer(&scheduler, Scheduler::finish, |_| true);
        thread.join().unwrap();
        assert_eq!(scheduler.frontier(), 2);
        assert!(runs.load(Ordering::Relaxed) <= 2);
    });
}

#[test]
fn aborted_and_refused_results_still_end_the_block() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 2));
        let other = Arc::clone(&scheduler);
        let run = |scheduler: &Scheduler, version: Version| match version.incarnation {
            0 => scheduler.abort(version),
            _ => scheduler.finish(version),
        };
        let thread = thread::spawn(move || worker(&other, run));
        committer(&scheduler, run, |version| version.index == 0);
        thread.join().unwrap();
        assert_eq!(scheduler.frontier(), 2);
    });
}

#[test]
fn a_sleeping_committer_is_woken_by_the_frontier() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(1, 1));
        let version = scheduler.claim().unwrap();
        let other = Arc::clone(&scheduler);
        let thread = thread::spawn(move || other.finish(version));
        while scheduler.at_frontier() == Frontier::Busy {
            scheduler.sleep_until_frontier();
        }
        assert!(scheduler.commit(0));
        thread.join().unwrap();
    });
}

#[test]
fn the_committer_may_take_a_waiter_from_under_its_dependency() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 3));
        let lower = scheduler.claim().unwrap();
        let upper = scheduler.claim().unwrap();
        let other = Arc::clone(&scheduler);
        let waiter = thread::spawn(move || other.wait_for(upper, lower.index));
        scheduler.finish(lower);
        assert!(scheduler.commit(0));
        loop {
            match scheduler.at_frontier() {
                Frontier::Claimed(version) => {
                    assert!(scheduler.commit(version.index));
                    break;
                }
                Frontier::Busy => thread::yield_now(),
                Frontier::Executed(_) => unreachable!("nobody finishes it"),
            }
        }
        waiter.join().unwrap();
        assert!(scheduler.is_halted());
    });
}

#[test]
fn a_chain_at_the_frontier_ends_whoever_gets_its_next_link() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 2));
        let lower = scheduler.claim().unwrap();
        let upper = scheduler.claim().unwrap();
        scheduler.postpone(upper, lower.index);
        let other = Arc::clone(&scheduler);
        let thread = thread::spawn(move || {
            other.finish(lower);
            worker(&other, Scheduler::finish);
        });
        // The hint may come before the worker looks, or after.
        scheduler.set_committer_waits(true);
        committer(&scheduler, Scheduler::finish, |_| true);
        thread.join().unwrap();
        assert_eq!(scheduler.frontier(), 2);
    });
}

#[test]
fn two_inserts_at_one_place_both_stay_and_in_order() {
    loom::model(|| {
        let lists = Arc::new((Chains::<AtomicUsize>::default(), Head::default()));
        lists.0.insert(&mut Pen::default(), &lists.1, 5, |_| ());
        let other = Arc::clone(&lists);
        let there = thread::spawn(move || {
            other.0.insert(&mut Pen::default(), &other.1, 3, |_| ());
        });
        lists.0.insert(&mut Pen::default(), &lists.1, 4, |_| ());
        there.join().unwrap();
        let ranks: Vec<_> = lists.0.iter(&lists.1).map(|(rank, _)| rank).collect();
        assert_eq!(ranks, [5, 4, 3]);
    });
}

#[test]
fn who_sees_a_flag_sees_the_link_inserted_before_it() {
    loom::model(|| {
        let lists = Arc::new((Chains::<AtomicUsize>::default(), Head::default()));
        let flag = Arc::new(AtomicUsize::new(0));
        let (other, raised) = (Arc::clone(&lists), Arc::clone(&flag));
        let there = thread::spawn(move || {
            let fill = |value: &AtomicUsize| value.store(7, Ordering::Relaxed);
            other.0.insert(&mut Pen::default(), &other.1, 1, fill);
            raised.store(1, Ordering::Release);
        });
        if flag.load(Ordering::Acquire) == 1 {
            let seen = lists.0.iter(&lists.1).map(|(_, value)| value.load(Ordering::Relaxed));
            assert_eq!(seen.collect::<Vec<_>>(), [7]);
        }
        there.join().unwrap();
    });
}
