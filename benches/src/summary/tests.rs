use super::Summary;

#[test]
fn the_median_is_the_middle_of_the_sorted_values() {
    let odd = Summary::of(&[9.0, 1.0, 4.0]);
    assert_eq!((odd.median, odd.min, odd.max), (4.0, 1.0, 9.0));
    let even = Summary::of(&[9.0, 1.0, 4.0, 5.0]);
    assert_eq!((even.median, even.min, even.max), (4.5, 1.0, 9.0));
    let one = Summary::of(&[2.0]);
    assert_eq!((one.median, one.min, one.max), (2.0, 2.0, 2.0));
}
