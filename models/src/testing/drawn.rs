//! Tokens that a model draws itself, as a device does.

use kernels::{Draw, DrawnToken, NO_TOKEN};

/// Draws the rows that take the likeliest of `logits`, of equal ones the first, and takes these rows
/// out of the logits. Where no row has a draw, `draws` may be empty.
pub(super) fn draw(
    logits: &mut Vec<f32>,
    vocab_size: usize,
    draws: &[Option<Draw>],
    drawn: &mut Vec<Option<DrawnToken>>,
) {
    drawn.clear();
    let mut kept = 0;
    for row in 0..logits.len() / vocab_size {
        let of_row = row * vocab_size..(row + 1) * vocab_size;
        let takes_likeliest = |draw: &Draw| draw.temperature == 0.0 && draw.logprobs.is_none();
        let draw = draws.get(row).and_then(Option::as_ref);
        if draw.is_some_and(takes_likeliest) {
            let token = likeliest(&logits[of_row]);
            drawn.push(Some(DrawnToken {
                token,
                logprobs: None,
            }));
        } else {
            logits.copy_within(of_row, kept * vocab_size);
            kept += 1;
            drawn.push(None);
        }
    }
    logits.truncate(kept * vocab_size);
}

fn likeliest(logits: &[f32]) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let index = logits.iter().position(|&logit| logit == largest);
    index.map_or(NO_TOKEN, |index| index as u32)
}
