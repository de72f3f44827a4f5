//! Words, word sequences and names of a text, as hashes: scoring compares them and never shows
//! them.
//!
//! Everything is kept in sorted vectors. A hash table without a secret could be made slow by
//! whoever chooses the texts, and one with a secret would not be reproducible.

/// The words of `text` in their order, in lower case.
///
/// A word is a run of letters and digits; in scripts that do without spaces every character is one.
/// `parse_config` is two words and `parseConfig` is one.
pub(super) fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 5);
    each_word(text, |word| words.push(word));
    words
}

/// Calls `each` for the words of `text` in their order.
pub(super) fn each_word(text: &str, mut each: impl FnMut(u64)) {
    let mut word: Option<Hash> = None;
    for c in text.chars() {
        let continues = c.is_alphanumeric() && !stands_alone(c);
        if !continues && let Some(done) = word.take() {
            each(done.finish());
        }
        if continues {
            let hash = word.get_or_insert(Hash::START);
            lower_case(c, |byte| hash.add(byte));
        } else if stands_alone(c) {
            let mut hash = Hash::START;
            lower_case(c, |byte| hash.add(byte));
            each(hash.finish());
        }
    }
    if let Some(done) = word {
        each(done.finish());
    }
}

/// The distinct words of `text`, sorted.
pub(super) fn vocabulary(text: &str) -> Vec<u64> {
    let mut words = words(text);
    words.sort_unstable();
    words.dedup();
    words
}

/// Hashes of every `n` words that follow each other, sorted, repetitions kept; of all words
/// together if there are fewer.
///
/// # Panics
/// If `n` is 0.
pub(super) fn shingles(words: &[u64], n: usize) -> Vec<u64> {
    if words.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<u64> = words.windows(n.min(words.len())).map(sequence).collect();
    all.sort_unstable();
    all
}

/// Calls `each` for the names in `text`: paths, identifiers, numbers of three digits and more;
/// for a path also its last component. Upper and lower case differ.
pub(super) fn each_name(text: &str, mut each: impl FnMut(u64)) {
    for run in text.split(|c: char| !(c.is_alphanumeric() || "_./-".contains(c))) {
        let name = run.trim_matches(['.', '/', '-']);
        if is_name(name) {
            each(hash(name));
        }
        if let Some((_, last)) = name.rsplit_once('/')
            && is_name(last)
        {
            each(hash(last));
        }
    }
}

/// Whether a run of word characters and `_./-` looks like something that was named, not said.
fn is_name(run: &str) -> bool {
    if run.len() < 3 || !run.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let joined = run.contains(['_', '/']) || run.contains('.');
    let digit = run.bytes().any(|b| b.is_ascii_digit());
    let humps = run
        .as_bytes()
        .windows(2)
        .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    joined || digit || humps
}

/// FNV-1a, with a finisher that spreads it over all bits.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn finish(self) -> u64 {
        let spread = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        spread ^ (spread >> 29)
    }
}

fn hash(text: &str) -> u64 {
    let mut hash = Hash::START;
    text.bytes().for_each(|byte| hash.add(byte));
    hash.finish()
}

/// One hash for words in their order.
fn sequence(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |so_far, word| {
        let mixed = (so_far.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    })
}

fn lower_case(c: char, mut each: impl FnMut(u8)) {
    if c.is_ascii() {
        each(c.to_ascii_lowercase() as u8);
        return;
    }
    let mut buffer = [0; 4];
    for lower in c.to_lowercase() {
        lower.encode_utf8(&mut buffer).bytes().for_each(&mut each);
    }
}

/// Letters of scripts that put no spaces between words: Thai to Myanmar, Khmer, kana, Han.
fn stands_alone(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0e00..=0x0eff
            | 0x1000..=0x109f
            | 0x1780..=0x17ff
            | 0x3040..=0x30ff
            | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0x20000..=0x3ffff
    ) && c.is_alphanumeric()
}
