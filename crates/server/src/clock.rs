//! The server's clocks, at its edge.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time, for durations.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time, for spans.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970, for `created`.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 with their fraction, to the microsecond.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
pub fn unix_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_micros() as f64 / 1e6)
}

/// Local time, for chat templates that print it.
pub fn local() -> chrono::NaiveDateTime {
    chrono::Local::now().naive_local()
}
