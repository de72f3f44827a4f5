//! Quantiles of small samples.

/// The `share` quantile (0..=1) of sorted numbers, interpolated linearly between neighbours: type 7
/// of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), numpy's default.
///
/// # Panics
/// If there are no numbers.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests;
