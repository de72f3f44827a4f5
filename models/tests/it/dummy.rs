//! Random weights in the place of a checkpoint's.

use models::{Device, Dtype, KvCacheDtype, Model, ModelSource, OpenError, SumOrder, open};

use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden::{self, VARIANTS};

fn dummy(variant: &str) -> Model {
    open(&ModelSource::Dummy(golden::folder().join(variant))).unwrap()
}

/// Whatever a family calls its tensors, its model has all of them and computes.
#[test]
fn every_family_runs_with_random_weights() {
    for variant in VARIANTS {
        let model = dummy(variant);
        let vocab_size = model.config().vocab_size;
        assert_eq!(model.unread_tensors(), [""; 0], "{variant}");
        let setup = Setup {
            device: Device::Cpu,
            sum_order: SumOrder::Free,
            dtype: Dtype::Auto,
            kv_cache_dtype: KvCacheDtype::Auto,
            block_size: 16,
            pool_tokens: 64,
            max_tokens: 8,
            max_rows: 8,
            max_len: 32,
            window_pool: None,
        };
        let mut rng = Rng(3);
        let mut driver = Driver::new(model, setup, &mut rng);
        let rows = driver.prefill_in_chunks(&mut Seq::new(&[1, 2, 3, 4, 5]), &mut rng);
        assert_eq!(rows.len(), 5, "{variant}");
        for row in rows {
            assert_eq!(row.len(), vocab_size, "{variant}");
            assert!(row.iter().all(|logit| logit.is_finite()), "{variant}");
            assert!(row.iter().any(|&logit| logit != row[0]), "{variant}");
        }
    }
}

/// Two models of the same configuration have the same weights, and so share cached prefixes; those
/// of a checkpoint have others.
#[test]
fn they_are_always_the_same() {
    let folder = golden::folder().join("qwen3");
    let real = open(&ModelSource::Folder(folder)).unwrap();
    assert_eq!(dummy("qwen3").fingerprint(), dummy("qwen3").fingerprint());
    assert_ne!(dummy("qwen3").fingerprint(), real.fingerprint());
}

#[test]
fn a_folder_without_configuration_is_named() {
    let nowhere = golden::folder().join("no-such-variant");
    let error = open(&ModelSource::Dummy(nowhere.clone())).err().unwrap();
    assert!(matches!(error, OpenError::NoFolder(folder) if folder == nowhere));
}
