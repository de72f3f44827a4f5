use super::{Workload, token};

#[test]
fn names_are_read_and_written_back() {
    let decode = |tokens, sequences, context| Workload::Decode {
        tokens,
        sequences,
        context,
        is_shared: false,
    };
    let shared = Workload::Decode {
        tokens: 32,
        sequences: 16,
        context: 1024,
        is_shared: true,
    };
    let cases = [
        ("pp512", Workload::Prefill { tokens: 512 }),
        ("tg128", decode(128, 1, 0)),
        ("tg16@1024", decode(16, 1, 1024)),
        ("tg32x8@128", decode(32, 8, 128)),
        ("tg32x16@shared1024", shared),
    ];
    for (name, workload) in cases {
        assert_eq!(name.parse(), Ok(workload));
        assert_eq!(workload.to_string(), name);
    }
}

#[test]
fn what_is_no_workload_is_refused() {
    for name in [
        "",
        "pp",
        "pp0",
        "512",
        "tgx8",
        "tg8x",
        "tg8@",
        "tg8x0",
        "pp-1",
        "tg1x2x3",
        "tg8@shared",
        "tg8@shared0",
    ] {
        let refused: Result<Workload, _> = name.parse();
        let message = refused.expect_err(name).to_string();
        assert!(message.contains(&format!("{name:?}")), "{message}");
    }
}

#[test]
fn a_workload_knows_its_size() {
    let workload: Workload = "tg32x8@128".parse().expect("it is a workload");
    assert_eq!(workload.sequences(), 8);
    assert_eq!(workload.context(), 160);
    assert_eq!(workload.timed_tokens(), 256);
    assert_eq!(workload.shared_len(), 0);
    let shared: Workload = "tg32x8@shared128".parse().expect("it is a workload");
    assert_eq!((shared.context(), shared.shared_len()), (160, 128));
}

#[test]
fn tokens_are_those_of_the_other_programs() {
    // The same values stand in benches/peers/test_peers.py.
    assert_eq!(token(0, 0, 49_152), 0);
    assert_eq!(token(0, 1, 49_152), 31_153);
    assert_eq!(token(1, 2, 4096), 866);
}
