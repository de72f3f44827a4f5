use super::Random;

#[test]
fn the_sequence_is_splitmix64() {
    // First outputs of the authors' reference code for the seed 1234567.
    let mut random = Random::new(1_234_567);
    let numbers: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
    let expected = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
    ];
    assert_eq!(numbers, expected);
}

#[test]
fn numbers_below_a_bound_reach_each_one() {
    let mut random = Random::new(7);
    let mut seen = [0; 5];
    for _ in 0..5_000 {
        seen[random.below(5)] += 1;
    }
    assert!(
        seen.iter().all(|&count| (800..1200).contains(&count)),
        "{seen:?}"
    );
}

#[test]
fn a_shuffle_keeps_the_items_and_changes_the_order() {
    let mut items: Vec<u32> = (0..50).collect();
    Random::new(3).shuffle(&mut items);
    assert_ne!(items, (0..50).collect::<Vec<_>>());
    items.sort_unstable();
    assert_eq!(items, (0..50).collect::<Vec<_>>());
}
