//! Processor time, of all threads of the process.

use std::fs;

/// Processor time that the process's living threads have used so far, in milliseconds. `None` where
/// the operating system does not keep Linux's accounts.
pub(super) fn process_ms() -> Option<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        // A thread that has just ended has no file any more; what it used is not ours to count.
        let Ok(line) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        nanoseconds += line.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e6)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time() {
        let before = process_ms().unwrap();
        let mut sum = 0_u64;
        while process_ms().unwrap() < before + 1.0 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
