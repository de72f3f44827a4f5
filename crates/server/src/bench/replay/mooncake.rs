//! Traces of Mooncake: Qin et al., "Mooncake: A KVCache-centric Disaggregated Architecture for LLM
//! Serving" (2024).
//!
//! Each line is `{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, ..]}`:
//! milliseconds, tokens, and an id for each block of the prompt, the last one of which may be shorter.
//! Requests that begin with the same ids began with the same tokens.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;

use super::format::Format;
use super::record_line::{RecordLine, lines};
use super::trace::{Prompt, Recorded, Trace};

/// # Errors
/// The first line that is wrong.
pub(super) fn read(text: &str, block_size: u32) -> anyhow::Result<Trace> {
    let mut others = BTreeSet::new();
    let mut requests = Vec::new();
    for line in lines(text) {
        let mut line = line?;
        requests.push(request(&mut line, block_size)?);
        others.extend(line.rest().map(str::to_owned));
    }
    let others: Vec<String> = others.into_iter().collect();
    let mut notes = Vec::new();
    if !others.is_empty() {
        notes.push(format!(
            "fields that are not replayed: {}",
            others.join(", ")
        ));
    }
    Ok(Trace {
        format: Format::Mooncake,
        requests,
        notes,
    })
}

fn request(line: &mut RecordLine, block_size: u32) -> anyhow::Result<Recorded> {
    let timestamp = line.milliseconds("timestamp")?;
    let tokens = line.tokens("input_length")?;
    let output_len = line.tokens("output_length")?;
    let listed = line.list("hash_ids")?;
    let ids: Option<Vec<u64>> = listed.iter().map(serde_json::Value::as_u64).collect();
    let wrong = |reason: &str| line.wrong("hash_ids", reason);
    let ids = ids.ok_or_else(|| wrong("an id is a whole number from 0"))?;
    let needed = tokens.div_ceil(block_size) as usize;
    if ids.len() != needed {
        return Err(anyhow!(wrong(&format!(
            "{tokens} tokens in blocks of {block_size} have {needed} ids, there are {}",
            ids.len()
        ))));
    }
    Ok(Recorded {
        place: line.place().to_owned(),
        at: Duration::from_secs_f64(timestamp / 1e3),
        follows: None,
        prompt: Prompt::Blocks { ids, tokens },
        output_len: Some(output_len),
    })
}

#[cfg(test)]
mod tests;
