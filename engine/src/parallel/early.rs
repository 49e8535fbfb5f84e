//! Which transactions had better start before their turn to start.
//!
//! Transactions start in block order: what lower ones write is then mostly there to be read. But a
//! long one that starts late keeps one thread busy while the others have run out of work. How long
//! it will take is guessed from its gas limit; a wrong guess costs time and nothing else.

use pleach_scheduler::EarlyStart;

/// A transaction is long if it may take this share of what each thread has to do.
const LONG: u64 = 8;

/// The early starts of a block, in order. `limits` are gas limits in block order; `gas` is what the
/// block uses, as far as is known; `threads` share the work.
pub(super) fn early_starts(
    limits: impl Iterator<Item = u64>,
    gas: u64,
    threads: usize,
) -> Vec<EarlyStart> {
    let threads = threads as u64;
    let mut sum = 0;
    // Work that starts before each transaction does.
    let before: Vec<(u64, u64)> = limits
        .map(|limit| {
            let limit = limit.min(gas);
            sum += limit;
            (sum - limit, limit)
        })
        .collect();
    if threads < 2 {
        return Vec::new();
    }
    let mut starts: Vec<EarlyStart> = Vec::new();
    for (index, (ahead, limit)) in before.iter().enumerate() {
        let long = limit.saturating_mul(threads * LONG) > sum;
        // Threads share what is ahead, so a transaction in its order ends at ahead / threads +
        // limit, and all should end at sum / threads.
        let last_start = sum.saturating_sub(limit.saturating_mul(threads));
        if long && *ahead > last_start {
            let before = before.partition_point(|(ahead, _)| *ahead < last_start);
            starts.push(EarlyStart { before, index });
        }
    }
    starts.retain(|start| start.before < start.index);
    starts.sort();
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(limits: &[u64], threads: usize) -> Vec<(usize, usize)> {
        let starts = early_starts(limits.iter().copied(), u64::MAX, threads);
        starts.into_iter().map(|start| (start.before, start.index)).collect()
    }

    #[test]
    fn equal_transactions_stay_in_order() {
        assert_eq!(starts(&[21_000; 100], 4), []);
    }

    #[test]
    fn a_long_one_at_the_end_starts_in_time() {
        let mut limits = [10; 21];
        limits[20] = 60;
        // 260 for two threads: it has to start when 140 are left of the other 200.
        assert_eq!(starts(&limits, 2), [(14, 20)]);
        limits[20] = 200;
        assert_eq!(starts(&limits, 2), [(0, 20)]);
    }

    #[test]
    fn a_long_one_at_the_start_stays_there() {
        let mut limits = [10; 21];
        limits[0] = 60;
        assert_eq!(starts(&limits, 2), []);
    }

    #[test]
    fn one_thread_has_its_order() {
        assert_eq!(starts(&[10, 10, 100], 1), []);
    }
}
