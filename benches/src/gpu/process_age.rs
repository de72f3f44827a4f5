//! How long ago this process was started.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// `/proc` counts in USER_HZ, which is 100 on every architecture that GPUs are used with.
const TICKS_PER_SECOND: f64 = 100.0;

/// Time since the system started this process, to a hundredth of a second.
///
/// # Errors
/// Where there is no `/proc` of Linux.
pub fn process_age() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    let uptime = fs::read_to_string("/proc/uptime").context("reading /proc/uptime")?;
    age(&stat, &uptime).context("/proc is not as proc(5) says")
}

fn age(stat: &str, uptime: &str) -> Option<Duration> {
    // The name is in brackets and may hold anything; the start is the 20th field behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64((now - started / TICKS_PER_SECOND).max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_stands_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 1";
        assert_eq!(
            age(stat, "125.25 80.00\n"),
            Some(Duration::from_millis(1_800))
        );
        assert_eq!(age("7 (a", "125.25 80.00"), None);
    }

    #[test]
    fn this_process_is_young() {
        assert!(process_age().unwrap() < Duration::from_secs(24 * 3_600));
    }
}
