//! Work is done once, whoever does it, and panics come back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use pleach_crew::Crew;

fn crew(helpers: usize) -> Crew {
    Crew::new(helpers).expect("threads start")
}

#[test]
fn every_item_is_done_once_whatever_the_numbers() {
    for helpers in [0, 1, 3] {
        let crew = crew(helpers);
        assert_eq!(crew.threads(), helpers + 1);
        for count in (0..40).chain([1_000]) {
            let mut items = vec![0_u32; count];
            crew.each(&mut items, |item| *item += 1);
            assert!(items.iter().all(|item| *item == 1), "{helpers} helpers, {count} items");
        }
    }
}

#[test]
fn helpers_do_help() {
    let crew = crew(2);
    let names = parking_lot::Mutex::new(Vec::new());
    // Each item waits until another thread is at one, so that this ends only with help.
    let arrived = AtomicU32::new(0);
    crew.each(&mut [(); 2], |()| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 2 {
            thread::sleep(Duration::from_micros(50));
        }
        names.lock().push(thread::current().id());
    });
    let names = names.into_inner();
    assert_ne!(names[0], names[1]);
}

#[test]
fn many_jobs_follow_each_other_and_see_each_others_results() {
    let crew = crew(3);
    let mut sums = vec![0_u64; 7];
    for round in 0..20_000_u64 {
        let before = sums[0];
        crew.each(&mut sums, |sum| *sum += round);
        assert_eq!(sums, [before + round; 7]);
    }
}

#[test]
fn a_panic_comes_back_and_the_crew_works_on() {
    let crew = crew(1);
    for guilty in 0..5_usize {
        let mut items: Vec<_> = (0..5).collect();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            crew.each(&mut items, |item| assert_ne!(*item, guilty, "the guilty one"));
        }));
        let panic = caught.expect_err("one item panics");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains("the guilty one"), "{message}");
        let mut items = [1; 9];
        crew.each(&mut items, |item| *item = 2);
        assert_eq!(items, [2; 9]);
    }
}

#[test]
fn who_finds_the_helpers_busy_does_it_alone() {
    let crew = Arc::new(crew(1));
    // From within a job, which nests, and from several threads at once.
    let asking = (0..4).map(|_| {
        let crew = Arc::clone(&crew);
        thread::spawn(move || {
            for _ in 0..200 {
                let mut outer = [[0_u8; 4]; 6];
                crew.each(&mut outer, |inner| crew.each(inner, |item| *item += 1));
                assert_eq!(outer, [[1; 4]; 6]);
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    asking.into_iter().for_each(|thread| thread.join().expect("no assertion fails"));
}

/// Guests take part while they look in, and whoever has work never waits for one that does not.
#[test]
fn guests_take_part_and_are_not_waited_for() {
    let crew = Crew::of_guests(1);
    assert_eq!(crew.threads(), 2);
    let mut alone = [0_u32; 100];
    crew.each(&mut alone, |number| *number += 1);
    assert!(alone.iter().all(|number| *number == 1));

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let mut guest = crew.guest();
            let mut helped = 0;
            while !over.load(Ordering::Relaxed) {
                helped += u32::from(guest.help());
            }
            helped
        });
        // Each piece ends when both threads have one.
        let both = Barrier::new(2);
        for _ in 0..100 {
            crew.each(&mut [(); 2], |()| {
                both.wait();
            });
        }
        over.store(true, Ordering::Relaxed);
        assert!(guest.join().unwrap() >= 100);
    });
}
