//! Random numbers that are a function of their key.

/// A number in `[0, 1)` that depends on `seed` and `position` alone.
///
/// Two rounds of the SplitMix64 finaliser (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014), one absorbing each half of the key; the top 53 bits are kept.
pub(super) fn uniform(seed: u64, position: u64) -> f64 {
    const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = mix(seed.wrapping_add(GOLDEN_GAMMA));
    let bits = mix(state
        ^ position
            .wrapping_mul(GOLDEN_GAMMA)
            .wrapping_add(GOLDEN_GAMMA));
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
