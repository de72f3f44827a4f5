//! A damaged file is an error that says what is wrong, never a panic and never a huge allocation.

use models::{ModelSource, open};

use super::blocks::Kind;
use super::convert::convert;
use super::writer::{Entry, Gguf};
use super::{folder_of, refused, refused_bytes};
use crate::driver::Rng;

fn whole() -> Gguf {
    let (_copy, folder) = folder_of("llama-mqa-biases");
    convert(&folder, Kind::F32)
}

/// Where the data starts: behind the header, which ends with the last tensor's offset.
fn header_len(gguf: &Gguf) -> usize {
    let data: usize = gguf
        .tensors
        .iter()
        .map(|tensor| tensor.bytes.len().next_multiple_of(32))
        .sum();
    gguf.bytes().len().next_multiple_of(32) - data
}

#[test]
fn what_is_no_gguf_file_is_refused() {
    let not = |bytes: &[u8]| refused_bytes(bytes);
    let start = "not a GGUF file that can be read: ";
    assert_eq!(
        not(b"{\"a\": 1}________________"),
        format!("{start}it starts with \"{{\\\\\\\"a\\\\\\\"\", not with \"GGUF\"")
    );
    assert!(not(b"").starts_with(&format!("{start}truncated: 4 bytes are wanted at byte 0")));
    assert!(not(b"GGUF\x01\0\0\0").contains("version 1; supported are 2 and 3"));
    assert!(not(b"GGUF\0\0\0\x03").contains("big endian"));
}

#[test]
fn every_truncation_is_an_error() {
    let gguf = whole();
    let bytes = gguf.bytes();
    for len in 0..header_len(&gguf) {
        let message = refused_bytes(&bytes[..len]);
        assert!(message.contains("truncated"), "{len}: {message}");
    }
    let message = refused_bytes(&bytes[..bytes.len() - 1]);
    assert!(message.contains("truncated or damaged"), "{message}");
}

#[test]
fn counts_are_not_believed() {
    let bytes = whole().bytes();
    // Tensors, entries, and the length of the first key.
    for at in [8, 16, 24] {
        for count in [u64::MAX, u64::MAX / 2, 1 << 40] {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            let message = refused_bytes(&bytes);
            assert!(
                message.contains("not a GGUF file that can be read"),
                "{message}"
            );
        }
    }
    let mut gguf = whole();
    gguf.set("llama.block_count", Entry::U32(u32::MAX));
    let message = refused(&gguf);
    assert!(
        message.contains("`llama.block_count`: 4294967295 layers of"),
        "{message}"
    );
    let mut gguf = whole();
    gguf.tensor_mut("blk.0.attn_q.weight").shape = vec![usize::MAX, usize::MAX];
    assert!(refused(&gguf).contains("tensor blk.0.attn_q.weight ends behind"));
}

#[test]
fn flipped_bytes_never_panic() {
    let gguf = whole();
    let bytes = gguf.bytes();
    let header = header_len(&gguf);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut rng = Rng(11);
    let mut refusals = 0;
    for _ in 0..2_000 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + rng.below(3) {
            bytes[rng.below(header)] = rng.below(256) as u8;
        }
        std::fs::write(&path, bytes).unwrap();
        refusals += usize::from(open(&ModelSource::Gguf(path.clone())).is_err());
    }
    println!("{refusals} of 2000 were refused");
    assert!(refusals > 1_000);
}

#[test]
fn what_a_header_says_twice_or_wrongly_is_named() {
    let mut gguf = whole();
    gguf.entries.push(gguf.entries[0].clone());
    assert!(refused(&gguf).contains("metadata `general.architecture` is there twice"));
    let mut gguf = whole();
    gguf.tensors.push(gguf.tensors[0].clone());
    let name = gguf.tensors[0].name.clone();
    assert!(refused(&gguf).contains(&format!("tensor {name} is there twice")));
    for alignment in [0, 48] {
        let mut gguf = whole();
        gguf.set("general.alignment", Entry::U32(alignment));
        let want = format!("`general.alignment` = {alignment} is no power of two");
        assert!(refused(&gguf).contains(&want), "{}", refused(&gguf));
    }
    let mut gguf = whole();
    gguf.tensor_mut("blk.0.ffn_up.weight").type_id = 23;
    assert!(
        refused(&gguf)
            .contains("tensor model.layers.0.mlp.up_proj.weight is IQ4_XS; supported are"),
        "{}",
        refused(&gguf)
    );
    gguf.tensor_mut("blk.0.ffn_up.weight").type_id = 999;
    assert!(
        refused(&gguf).contains("is ggml type 999"),
        "{}",
        refused(&gguf)
    );
    // Rows of 48 elements.
    gguf.tensor_mut("blk.0.ffn_up.weight").type_id = 0;
    gguf.tensor_mut("blk.0.ffn_down.weight").type_id = 12;
    let want = "tensor blk.0.ffn_down.weight has rows of 48 elements, which are no blocks of 256";
    assert!(refused(&gguf).contains(want), "{}", refused(&gguf));
}
