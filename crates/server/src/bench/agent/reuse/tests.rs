use super::{Reuse, rows};
use crate::bench::agent::conversation::Role;
use crate::bench::agent::turn::Turn;
use crate::bench::outcome::{Answered, End, Outcome};

/// The turn of an agent: (prompt and answer before), (prompt, cached, TTFT).
fn turn(
    number: u32,
    previous: Option<(u64, u64)>,
    (prompt, cached, ttft_ms): (u64, Option<u64>, f64),
) -> Outcome<Turn> {
    Outcome {
        asked: Turn {
            agent: 1,
            turn: number,
            pause_ms: 0.0,
            input_len: 10,
            role: Role::Tool,
            broken_calls: 0,
            output_len: 5,
            previous_prompt_tokens: previous.map(|(prompt, _)| prompt),
            reusable_tokens: previous.map(|(prompt, answer)| prompt + answer),
        },
        at_ms: 0.0,
        late_ms: 0.0,
        end: End::Answered(Answered {
            prompt_tokens: Some(prompt),
            cached_tokens: cached,
            completion_tokens: 5,
            ttft_ms,
            e2el_ms: ttft_ms + 10.0,
            ..Answered::default()
        }),
    }
}

#[test]
fn what_was_cached_is_compared_with_what_could_be() {
    let outcomes = [
        // The first turn is no one's continuation, whatever it finds.
        turn(1, None, (100, Some(64), 30.0)),
        turn(1, None, (120, Some(0), 50.0)),
        // 100 + 5 could be there: 96 are, less than a block of 16 short of the prompt.
        turn(2, Some((100, 5)), (130, Some(96), 10.0)),
        // 84 are 16 short, just a block; 83 are more.
        turn(2, Some((100, 5)), (130, Some(84), 20.0)),
        turn(2, Some((100, 5)), (130, Some(83), 60.0)),
        // More than the history, by chance: no more than the history counts.
        turn(3, Some((130, 5)), (160, Some(150), 12.0)),
    ];
    let reuse = Reuse::of(&outcomes, 16);
    assert_eq!(reuse.reusable_tokens, Some(3 * 105 + 135));
    assert_eq!(reuse.reused_tokens, Some(96 + 84 + 83 + 135));
    assert_eq!(reuse.reused_share, Some(398.0 / 450.0));
    assert_eq!(
        (reuse.prefix_losses, reuse.lost_tokens),
        (Some(1), Some(17))
    );
    let rows = rows(&outcomes, 16);
    assert_eq!(
        rows.iter().map(|row| (row.turn, row.n)).collect::<Vec<_>>(),
        [(1, 2), (2, 3), (3, 1)]
    );
    assert_eq!(rows[0].prompt_tokens, Some(110.0));
    assert_eq!(rows[0].cached_share, Some(32.0 / 110.0));
    assert_eq!(
        (rows[0].reusable_tokens, rows[0].prefix_losses),
        (None, Some(0))
    );
    assert_eq!(rows[1].ttft_ms.unwrap().p50, 20.0);
    assert_eq!(rows[1].e2el_ms.unwrap().max, 70.0);
    assert_eq!(rows[1].prefix_losses, Some(1));
    assert_eq!(rows[2].reusable_tokens, Some(135.0));
}

#[test]
fn nothing_is_said_of_a_cache_that_says_nothing() {
    let outcomes = [
        turn(1, None, (100, None, 30.0)),
        turn(2, Some((100, 5)), (130, None, 10.0)),
    ];
    let reuse = Reuse::of(&outcomes, 16);
    assert_eq!(reuse.reusable_tokens, Some(105));
    assert_eq!((reuse.reused_tokens, reuse.reused_share), (None, None));
    assert_eq!((reuse.prefix_losses, reuse.lost_tokens), (None, None));
    assert_eq!(rows(&outcomes, 16)[1].cached_share, None);
    assert_eq!(Reuse::of(&outcomes[..1], 16).reusable_tokens, None);
}
