use super::{Operands, Peak, read};

#[test]
fn every_word_is_read() {
    assert_eq!(read(&[1, 2, 4, u64::MAX]), 6);
}

#[test]
fn operations_are_counted_as_by_hand() {
    // Products and sums of one iteration: 12 accumulators of so many lanes.
    let expected = [
        ("f32: plain Rust, the target's baseline", 12 * 4 * 2),
        ("f32: vfmadd, 256 bits", 12 * 8 * 2),
        ("i16 x i16: vpmaddwd + vpaddd, 256 bits", 12 * 16 * 2),
        (
            "u8 x i8: vpmaddubsw + vpmaddwd + vpaddd, 256 bits",
            12 * 32 * 2,
        ),
        ("f32: vfmadd, 512 bits", 12 * 16 * 2),
        ("bf16: vdpbf16ps, 512 bits", 12 * 32 * 2),
        ("i16 x i16: vpdpwssd, 512 bits", 12 * 32 * 2),
        ("u8 x i8: vpdpbusd, 512 bits", 12 * 64 * 2),
        ("bf16: tdpbf16ps", 4 * 16 * 16 * 32 * 2),
        ("i8 x i8: tdpbssd", 4 * 16 * 16 * 64 * 2),
    ];
    let peaks = Peak::of_this_machine();
    for peak in &peaks {
        let (_, operations) = expected
            .iter()
            .find(|(name, _)| *name == peak.name)
            .expect(peak.name);
        assert_eq!(peak.run(3), 3 * operations, "{}", peak.name);
    }
    for (name, _) in expected {
        if peaks.iter().all(|peak| peak.name != name) {
            println!("untested, the machine lacks it: {name}");
        }
    }
    assert_eq!(peaks[0].operands, Operands::Float32);
}
