//! Sharing whole tokens in proportion.

/// Shares `room` tokens in proportion to `lacks`, none getting more than it lacks; all get what
/// they lack if there is room.
///
/// Jefferson's divisor method: tokens go one by one to whoever has the greatest
/// `lack / (share + 1)`, the earlier on a tie. Hence a token more of room is a token more for one,
/// and a greater lack is never a smaller share.
pub(super) fn proportional(room: usize, lacks: &[usize]) -> Vec<usize> {
    let total: u128 = lacks.iter().map(|&lack| lack as u128).sum();
    if total <= room as u128 {
        return lacks.to_vec();
    }
    // With total / room as divisor, the quotients rounded down are what everybody has at some point
    // of the handing out; fewer tokens than there are shares are left to hand out one by one.
    let mut shares: Vec<usize> = lacks
        .iter()
        .map(|&lack| (lack as u128 * room as u128 / total) as usize)
        .collect();
    let mut left = room - shares.iter().sum::<usize>();
    while left > 0 {
        let next = (0..lacks.len())
            .reduce(|best, at| {
                if is_due(lacks, &shares, at, best) {
                    at
                } else {
                    best
                }
            })
            .expect("tokens are left only if someone lacks some");
        shares[next] += 1;
        left -= 1;
    }
    shares
}

/// Whether the next token is due to `at` rather than to `best`.
fn is_due(lacks: &[usize], shares: &[usize], at: usize, best: usize) -> bool {
    let claim = |of: usize, against: usize| lacks[of] as u128 * (shares[against] as u128 + 1);
    claim(at, best) > claim(best, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::proportional;

    /// The method as it is defined, token by token.
    fn one_by_one(room: usize, lacks: &[usize]) -> Vec<usize> {
        let mut shares = vec![0; lacks.len()];
        for _ in 0..room.min(lacks.iter().sum()) {
            let mut best = 0;
            for at in 1..lacks.len() {
                if lacks[at] * (shares[best] + 1) > lacks[best] * (shares[at] + 1) {
                    best = at;
                }
            }
            shares[best] += 1;
        }
        shares
    }

    #[test]
    fn shares_are_proportional() {
        assert_eq!(proportional(100, &[600, 300, 100]), [60, 30, 10]);
        assert_eq!(proportional(10, &[0, 0]), [0, 0]);
        assert_eq!(proportional(0, &[3, 4]), [0, 0]);
        assert_eq!(proportional(1, &[5, 5]), [1, 0]);
        assert_eq!(proportional(10, &[]), [0; 0]);
        assert_eq!(
            proportional(usize::MAX - 1, &[usize::MAX]),
            [usize::MAX - 1]
        );
    }

    #[test]
    fn rounding_to_the_nearest_would_take_a_token_back() {
        // The Alabama paradox: with largest remainders the third gets 2 of 10, but 1 of 11.
        assert_eq!(proportional(10, &[60, 60, 20])[2], 1);
        assert_eq!(proportional(11, &[60, 60, 20])[2], 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(2026),
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_is_the_handing_out_one_by_one(
            room in 0_usize..200,
            lacks in prop::collection::vec(0_usize..60, 1..6),
        ) {
            prop_assert_eq!(proportional(room, &lacks), one_by_one(room, &lacks));
        }
    }
}
