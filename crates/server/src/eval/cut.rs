//! Cuts that a client makes without knowing what matters.

/// The first tokens of a prompt and all of its last message: `content[:B]`, as it is often written.
///
/// `last` is the last message's length in tokens, `generation` that of the beginning of an answer
/// after it. The last message loses its end if it alone is too long. At most `limit` tokens, and
/// exactly as many if the prompt has more; a limit below `generation` gives nothing but that.
pub(super) fn head(prompt: &[u32], last: usize, generation: usize, limit: usize) -> Vec<u32> {
    if prompt.len() <= limit {
        return prompt.to_vec();
    }
    let begins_answer = prompt.len() - generation;
    let begins_last = begins_answer - last;
    let room = limit.saturating_sub(generation);
    let (head, kept_last) = match room.checked_sub(last) {
        Some(head) => (head, last),
        None => (0, room),
    };
    [
        &prompt[..head],
        &prompt[begins_last..begins_last + kept_last],
        &prompt[begins_answer..],
    ]
    .concat()
}

/// The last `limit` tokens of a prompt, or all of it.
pub(super) fn tail(prompt: &[u32], limit: usize) -> Vec<u32> {
    prompt[prompt.len().saturating_sub(limit)..].to_vec()
}

/// Numbers of the messages that stay when the first one (the system message) and as many of the
/// last ones as fit do; `counts` are their tokens, `generation` is added to all.
///
/// The first message stays even where it does not fit.
pub(super) fn last_messages(counts: &[usize], generation: usize, limit: usize) -> Vec<usize> {
    let Some((&system, rest)) = counts.split_first() else {
        return Vec::new();
    };
    let mut room = limit.saturating_sub(system + generation);
    let mut first = counts.len();
    for (at, &tokens) in rest.iter().enumerate().rev() {
        if tokens > room {
            break;
        }
        room -= tokens;
        first = at + 1;
    }
    std::iter::once(0).chain(first..counts.len()).collect()
}

#[cfg(test)]
mod tests;
