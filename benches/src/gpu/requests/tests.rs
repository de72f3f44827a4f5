use sha2::{Digest, Sha256};

use super::*;

/// The first 8 bytes of sha256 over all requests: ids as 32-bit integers, the lower bytes first, then
/// `|MAX_TOKENS;` in ASCII. Printed by the program that made the requests for vLLM
/// (`gpu_workloads.py`, seed 0, numpy 2), as are the sums of prompts' and outputs' tokens.
const DIGESTS: [(&str, usize, usize, &str); 16] = [
    ("single_128", 128, 256, "2447117288e2ed95"),
    ("single_16384", 16_384, 256, "3ff84146f298cdd0"),
    ("batch_64", 8_192, 16_384, "95859e674d233687"),
    ("batch_256", 32_768, 65_536, "dbe70842817b06a4"),
    ("prefill_8x8192", 65_536, 8, "46d75108b0499738"),
    ("prefill_1x32768", 32_768, 1, "77e1266d8636123c"),
    ("mixed", 541_500, 131_059, "8a2c3c240c3d1310"),
    ("mixed_shared1024", 1_065_788, 131_059, "18e11e1169279f3a"),
    ("prefix_8192_0", 81_920, 10, "8310b1acecc27faf"),
    ("prefix_8192_50", 81_920, 10, "a18f78232bc98160"),
    ("prefix_8192_90", 81_920, 10, "11ce6931afdbed46"),
    ("prefix_8192_99", 81_920, 10, "da72cdd8348b0e7d"),
    ("prefix_32768_0", 327_680, 10, "cfe32a0812ac5ae5"),
    ("prefix_32768_50", 327_680, 10, "af35be6b7d6b3a60"),
    ("prefix_32768_90", 327_680, 10, "f5b4b2fbdcb13b80"),
    ("prefix_32768_99", 327_680, 10, "aca7251ce325c379"),
];

const FULL: Requests = Requests {
    scale: Scale::FULL,
    vocab_size: 128_256,
};

fn named(name: &str) -> Vec<Request> {
    let probes = |prompt_len, percent, shared| {
        let Probes {
            base, mut probes, ..
        } = FULL.probes(prompt_len, (percent, shared), 9);
        probes.insert(0, base);
        probes
    };
    match name {
        "single_128" => FULL.single(128, 0),
        "single_16384" => FULL.single(16_384, 0),
        "batch_64" => FULL.batch(64, 0),
        "batch_256" => FULL.batch(256, 0),
        "prefill_8x8192" => FULL.prefill(8, 8_192, 0),
        "prefill_1x32768" => FULL.prefill(1, 32_768, 0),
        "mixed" => FULL.mixed(0),
        "mixed_shared1024" => FULL.mixed(1_024),
        "prefix_8192_0" => probes(8_192, 0, 0),
        "prefix_8192_50" => probes(8_192, 50, 4_096),
        "prefix_8192_90" => probes(8_192, 90, 7_376),
        "prefix_8192_99" => probes(8_192, 99, 8_112),
        "prefix_32768_0" => probes(32_768, 0, 0),
        "prefix_32768_50" => probes(32_768, 50, 16_384),
        "prefix_32768_90" => probes(32_768, 90, 29_488),
        "prefix_32768_99" => probes(32_768, 99, 32_448),
        name => panic!("{name}"),
    }
}

fn digest(requests: &[Request]) -> String {
    let mut hasher = Sha256::new();
    for request in requests {
        for id in &request.prompt {
            hasher.update(id.to_le_bytes());
        }
        hasher.update(format!("|{};", request.max_tokens));
    }
    let bytes = hasher.finalize();
    bytes[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn requests_are_those_of_the_peer() {
    for (name, prompt_tokens, output_tokens, sha256) in DIGESTS {
        let requests = named(name);
        let prompts: usize = requests.iter().map(|request| request.prompt.len()).sum();
        let outputs: usize = requests.iter().map(|request| request.max_tokens).sum();
        let is = (prompts, outputs, digest(&requests));
        assert_eq!(
            is,
            (prompt_tokens, output_tokens, sha256.to_owned()),
            "{name}"
        );
    }
}

#[test]
fn a_scale_divides_counts_and_lengths() {
    let small = Requests {
        scale: Scale(64.try_into().unwrap()),
        vocab_size: 512,
    };
    let batch = small.batch(256, 0);
    assert_eq!(batch.len(), 4);
    assert_eq!((batch[0].prompt.len(), batch[0].max_tokens), (2, 4));
    assert!(batch[0].prompt.iter().all(|&id| id < 512));
    assert_eq!(small.batch(16, 0).len(), 1);

    let probes = small.probes(8_192, (90, 7_376), 2);
    assert_eq!((probes.base.prompt.len(), probes.shared), (128, 112));
    assert_eq!(probes.probes[0].prompt[..112], probes.base.prompt[..112]);
    assert_ne!(probes.probes[0].prompt[112..], probes.base.prompt[112..]);
    assert_ne!(probes.probes[0], probes.probes[1]);
}
