use std::time::Duration;

use super::rfc3339;

#[test]
fn dates_are_those_of_the_gregorian_calendar() {
    // Seconds by `date -u -d <date> +%s`.
    let check = |seconds: u64, date: &str| {
        assert_eq!(rfc3339(Duration::from_secs(seconds)), date);
    };
    check(0, "1970-01-01T00:00:00Z");
    check(951_782_400, "2000-02-29T00:00:00Z");
    check(951_868_799, "2000-02-29T23:59:59Z");
    check(1_735_689_599, "2024-12-31T23:59:59Z");
    check(1_795_235_786, "2026-11-21T04:36:26Z");
    check(4_107_542_400, "2100-03-01T00:00:00Z");
}
