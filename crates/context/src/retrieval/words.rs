//! Words, word sequences and names of a text, as hashes: scoring compares them and never shows
//! them.
//!
//! Everything is kept in sorted vectors. A hash table without a secret could be made slow by
//! whoever chooses the texts, and one with a secret would not be reproducible.

/// The words of `text` in their order, in lower case.
///
/// A word is a run of letters and digits; in scripts that do without spaces every character is one.
/// `parse_config` is two words and `parseConfig` is one.
pub(crate) fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 5);
    let mut word: Option<Hash> = None;
    let mut rest = text.as_bytes();
    while let Some(byte) = rest.first() {
        let class = CLASSES[usize::from(*byte)];
        if class & WORD != 0 {
            let end = rest
                .iter()
                .position(|byte| CLASSES[usize::from(*byte)] & WORD == 0);
            let (run, tail) = rest.split_at(end.unwrap_or(rest.len()));
            rest = tail;
            word.get_or_insert(Hash::START).add_lower_case(run);
        } else if class & ASCII != 0 {
            rest = &rest[1..];
            words.extend(word.take().map(Hash::finish));
        } else {
            let c = first_char(text, rest);
            rest = &rest[c.len_utf8()..];
            other_script(c, &mut word, &mut words);
        }
    }
    words.extend(word.map(Hash::finish));
    words
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

/// The distinct names in `text`, sorted: paths, identifiers, numbers of three digits and more; for
/// a path also its last component. Upper and lower case differ.
pub(super) fn names(text: &str) -> Vec<u64> {
    let mut names = Vec::new();
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let run = &bytes[start..];
        let seen = run
            .iter()
            .map(|byte| CLASSES[usize::from(*byte)])
            .take_while(|c| c & NAME != 0);
        let (length, seen) = seen.fold((0, 0), |(n, all), class| (n + 1, all | class));
        // Words of prose, the bulk of text, have neither digits nor joints nor capitals.
        if seen & (JOINT | DIGIT | UPPER) != 0 {
            push_names(&run[..length], &mut names);
        }
        start += length + 1;
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn push_names(run: &[u8], names: &mut Vec<u64>) {
    let name = trim(run);
    if is_name(name) {
        names.push(hash(name));
    }
    if let Some(slash) = name.iter().rposition(|byte| *byte == b'/')
        && is_name(&name[slash + 1..])
    {
        names.push(hash(&name[slash + 1..]));
    }
}

fn trim(run: &[u8]) -> &[u8] {
    let outer = |byte: &u8| !b"./-".contains(byte);
    let start = run.iter().position(outer).unwrap_or(run.len());
    let end = run.iter().rposition(outer).map_or(start, |last| last + 1);
    &run[start..end]
}

/// Whether a run of word characters and `_./-` looks like something that was named, not said.
fn is_name(run: &[u8]) -> bool {
    let class = |byte: &u8| CLASSES[usize::from(*byte)];
    let seen = run.iter().fold(0, |seen, byte| seen | class(byte));
    let hump = || {
        run.windows(2)
            .any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase())
    };
    let joined = || run.iter().any(|byte| b"_./".contains(byte));
    run.len() >= 3 && seen & WORD != 0 && (seen & DIGIT != 0 || joined() || hump())
}

/// A letter or digit.
const WORD: u8 = 1;
/// A digit.
const DIGIT: u8 = 2;
/// A capital letter.
const UPPER: u8 = 4;
/// One of `_./-`.
const JOINT: u8 = 8;
/// Part of a name: all of the above, and every byte of other scripts.
const NAME: u8 = 16;
/// One byte is the whole character.
const ASCII: u8 = 32;

/// What a byte of UTF-8 is.
static CLASSES: [u8; 256] = {
    let mut classes = [NAME; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        classes[byte] = ASCII
            | if b.is_ascii_alphanumeric() {
                WORD | NAME
            } else {
                0
            }
            | if b.is_ascii_digit() { DIGIT } else { 0 }
            | if b.is_ascii_uppercase() { UPPER } else { 0 }
            | if matches!(b, b'_' | b'.' | b'/' | b'-') {
                JOINT | NAME
            } else {
                0
            };
        byte += 1;
    }
    classes
};

/// A word's hash: eight bytes at a time are mixed into what came before.
#[derive(Clone, Copy)]
struct Hash {
    mixed: u64,
    pending: u64,
    length: u32,
}

impl Hash {
    const START: Self = Self {
        mixed: 0xcbf2_9ce4_8422_2325,
        pending: 0,
        length: 0,
    };

    fn add(&mut self, byte: u8) {
        self.pending |= u64::from(byte) << (8 * (self.length % 8));
        self.length += 1;
        if self.length.is_multiple_of(8) {
            self.mixed = mix(self.mixed, self.pending);
            self.pending = 0;
        }
    }

    /// Adds ASCII letters and digits in lower case: that is the bit 0x20, which digits have.
    fn add_lower_case(&mut self, run: &[u8]) {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let mut run = run;
        while let Some((chunk, tail)) = run.split_first_chunk::<8>()
            && self.length.is_multiple_of(8)
        {
            self.mixed = mix(self.mixed, u64::from_le_bytes(*chunk) | LOWER);
            self.length += 8;
            run = tail;
        }
        run.iter().for_each(|byte| self.add(byte | 0x20));
    }

    fn finish(self) -> u64 {
        mix(mix(self.mixed, self.pending), u64::from(self.length))
    }
}

fn mix(so_far: u64, next: u64) -> u64 {
    let mixed = (so_far.rotate_left(23) ^ next).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

fn hash(name: &[u8]) -> u64 {
    let mut hash = Hash::START;
    name.iter().for_each(|byte| hash.add(*byte));
    hash.finish()
}

/// One hash for words in their order.
fn sequence(words: &[u64]) -> u64 {
    words
        .iter()
        .fold(0x9e37_79b9_7f4a_7c15, |so_far, word| mix(so_far, *word))
}

/// The character at which `rest`, the end of `text`, begins.
fn first_char(text: &str, rest: &[u8]) -> char {
    let at = text.len() - rest.len();
    text[at..]
        .chars()
        .next()
        .expect("rest is not empty and begins at a character")
}

/// Continues or ends a word with a character beyond ASCII.
fn other_script(c: char, word: &mut Option<Hash>, words: &mut Vec<u64>) {
    let alone = stands_alone(c);
    if alone || !c.is_alphanumeric() {
        words.extend(word.take().map(Hash::finish));
    }
    if !c.is_alphanumeric() {
        return;
    }
    let hash = word.get_or_insert(Hash::START);
    let mut buffer = [0; 4];
    for lower in c.to_lowercase() {
        lower
            .encode_utf8(&mut buffer)
            .bytes()
            .for_each(|byte| hash.add(byte));
    }
    if alone {
        words.extend(word.take().map(Hash::finish));
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
    )
}
