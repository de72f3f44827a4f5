//! Quantised weights that are kept on disk are those that quantising gives, or are not used.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use models::{
    CacheNotice, Device, Dtype, KvCacheDtype, Limits, LoadOptions, LoadPhase, ModelSource,
    Quantization, SumOrder, WeightsCache, open,
};

use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden;

const TOKENS: [u32; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 5];

/// What a load did: logits of all tokens, and what was said.
#[derive(Debug, PartialEq)]
struct Load {
    logits: Vec<Vec<f32>>,
    notices: Vec<CacheNotice>,
}

fn cache(folder: &Path) -> WeightsCache {
    WeightsCache {
        folder: folder.to_owned(),
        max_bytes: 1 << 30,
        only_slow: false,
    }
}

fn load(model: &Path, quantization: Quantization, cache: Option<WeightsCache>) -> Load {
    let model = open(&ModelSource::Folder(model.to_owned())).unwrap();
    let model = match cache {
        Some(cache) => model.with_weights_cache(cache),
        None => model,
    };
    let setup = Setup {
        device: Device::Cpu,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size: 16,
        pool_tokens: 32,
        max_tokens: TOKENS.len(),
        max_rows: TOKENS.len(),
        max_len: TOKENS.len(),
        window_pool: None,
    };
    let mut driver = Driver::quantized(model, setup, quantization, &mut Rng(3));
    let notices = std::mem::take(&mut driver.cache_notices);
    let logits = driver.prefill_in_chunks(&mut Seq::new(&TOKENS), &mut Rng(4));
    Load { logits, notices }
}

fn golden(variant: &str) -> PathBuf {
    golden::folder().join(variant)
}

/// The whole files of a cache.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(
        files
            .iter()
            .all(|file| file.extension().unwrap() == "weights"),
        "{files:?}"
    );
    files
}

fn written(notices: &[CacheNotice]) -> PathBuf {
    match notices {
        [CacheNotice::Written { path, bytes }] => {
            assert_eq!(std::fs::metadata(path).unwrap().len(), *bytes);
            path.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn weights_from_the_cache_give_the_bits_of_those_just_quantised() {
    // The embedded model's files, as a folder: its columns are whole blocks of 256.
    let pebble = tempfile::tempdir().unwrap();
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("embedded/pebble-20m");
    for name in ["config.json", "model.safetensors"] {
        symlink(embedded.join(name), pebble.path().join(name)).unwrap();
    }
    // Of the small one, some matrices are no whole blocks of 32 and stay floats.
    for (model, quantization) in [
        (pebble.path().to_owned(), Quantization::Q4KM),
        (golden("qwen2"), Quantization::Q8_0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("made/when/needed"));
        let fresh = load(&model, quantization, None);
        assert_eq!(fresh.notices, []);
        let first = load(&model, quantization, Some(cache.clone()));
        let path = written(&first.notices);
        assert_eq!(files(&cache.folder), std::slice::from_ref(&path));
        let second = load(&model, quantization, Some(cache));
        assert_eq!(second.notices, [CacheNotice::Read { path }]);
        assert!(first.logits == fresh.logits, "{quantization:?}");
        assert!(second.logits == fresh.logits, "{quantization:?}");
    }
}

#[test]
fn every_damage_is_noticed_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let model = golden("qwen3");
    let again = || load(&model, Quantization::Q8_0, Some(cache(folder.path())));
    let fresh = again();
    let path = written(&fresh.notices);
    let whole = std::fs::read(&path).unwrap();
    let len = whole.len();
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    // Both ends byte by byte, and the panels and the index at odd steps.
    let spread = (0..len).step_by(len / 40 + 1);
    for at in (0..10).chain(len - 50..len).chain(spread) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        damaged.push(bytes);
    }
    for cut in [0, 1, 8, 47, 48, 56, len / 2, len - 1] {
        damaged.push(whole[..cut].to_vec());
    }
    damaged.push([&whole[..], b"x"].concat());
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        let load = again();
        assert!(
            matches!(
                &load.notices[..],
                [CacheNotice::Refused { .. }, CacheNotice::Written { .. }]
            ),
            "{:?}",
            load.notices
        );
        assert!(load.logits == fresh.logits);
        assert!(std::fs::read(&path).unwrap() == whole);
    }
    let path = path.clone();
    assert_eq!(again().notices, [CacheNotice::Read { path }]);
}

#[test]
fn a_file_of_other_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one = load(
        &golden("qwen3"),
        Quantization::Q8_0,
        Some(cache(folder.path())),
    );
    let other = load(
        &golden("qwen2"),
        Quantization::Q8_0,
        Some(cache(folder.path())),
    );
    let (one_path, other_path) = (written(&one.notices), written(&other.notices));
    std::fs::copy(&other_path, &one_path).unwrap();
    let load = load(
        &golden("qwen3"),
        Quantization::Q8_0,
        Some(cache(folder.path())),
    );
    let want = CacheNotice::Refused {
        path: one_path,
        reason: "it was written for other weights".to_owned(),
    };
    assert_eq!(load.notices[0], want);
    assert!(load.logits == one.logits);
}

#[test]
fn a_changed_checkpoint_has_a_file_of_its_own() {
    let (folder, model) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("qwen3").join(name), model.path().join(name)).unwrap();
    }
    let load = || load(model.path(), Quantization::Q8_0, Some(cache(folder.path())));
    let first = load();
    // Written in place, with the old length and the old time.
    let weights = model.path().join("model.safetensors");
    let time = std::fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    std::fs::write(&weights, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&weights).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let second = load();
    assert_ne!(written(&first.notices), written(&second.notices));
}

#[test]
fn without_a_folder_to_write_to_weights_are_quantised() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let model = golden("qwen3");
    let folder = file.path().join("below-a-file");
    let load = |cache| load(&model, Quantization::Q8_0, cache);
    let fresh = load(None);
    let unkept = load(Some(cache(&folder)));
    assert!(
        matches!(&unkept.notices[..], [CacheNotice::NotWritten { path, .. }] if *path == folder),
        "{:?}",
        unkept.notices
    );
    assert!(unkept.logits == fresh.logits);
}

#[test]
fn several_servers_write_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = golden("qwen3");
    let load = || load(&model, Quantization::Q8_0, Some(cache(folder.path())));
    let loads: Vec<Load> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let whole = |load: &Load| {
        let [notice] = &load.notices[..] else {
            panic!("{:?}", load.notices);
        };
        matches!(
            notice,
            CacheNotice::Written { .. } | CacheNotice::Read { .. }
        )
    };
    assert!(loads.iter().all(whole));
    assert!(loads.iter().all(|load| load.logits == loads[0].logits));
    let path = files(folder.path()).pop().unwrap();
    assert_eq!(load().notices, [CacheNotice::Read { path }]);
}

#[test]
fn the_oldest_files_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let load = |variant, max_bytes| {
        let cache = WeightsCache {
            max_bytes,
            ..cache(folder.path())
        };
        load(&golden(variant), Quantization::Q8_0, Some(cache)).notices
    };
    let first = written(&load("qwen3", 1 << 30));
    let size = std::fs::metadata(&first).unwrap().len();
    let second = load("qwen2", size + size / 2);
    assert_eq!(
        second[0],
        CacheNotice::Removed {
            path: first.clone()
        }
    );
    let second = written(&second[1..]);
    assert_eq!(files(folder.path()), std::slice::from_ref(&second));
    // What is larger than all may be is not written, and removes nothing.
    let third = load("qwen3", 1000);
    assert!(
        matches!(&third[..], [CacheNotice::NotWritten { path, .. }] if *path == first),
        "{third:?}"
    );
    assert_eq!(files(folder.path()), [second]);
}

#[test]
fn what_is_quick_to_quantise_is_not_kept_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let cache = WeightsCache {
        only_slow: true,
        ..cache(folder.path())
    };
    let quick = load(&golden("qwen3"), Quantization::Q8_0, Some(cache.clone()));
    assert_eq!(quick.notices, []);
    // What is not quantised is never kept.
    let cache = WeightsCache {
        only_slow: false,
        ..cache
    };
    let plain = load(&golden("qwen3"), Quantization::None, Some(cache));
    assert_eq!(plain.notices, []);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn progress_says_where_weights_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let phases = || {
        let model = open(&ModelSource::Folder(golden("qwen3"))).unwrap();
        let model = model.with_weights_cache(cache(folder.path()));
        let options = LoadOptions {
            device: Device::Cpu,
            dtype: Dtype::Auto,
            quantization: Quantization::Q8_0,
            limits: Limits {
                num_blocks: 4,
                window_blocks: None,
                block_size: 16,
                max_num_batched_tokens: 8,
                max_num_seqs: 2,
                max_model_len: 32,
            },
            threads: None,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: KvCacheDtype::Auto,
            lora: None,
        };
        let mut heard = Vec::new();
        model
            .load(&options, &mut |progress| heard.push(progress))
            .unwrap();
        let last = *heard.last().unwrap();
        assert_eq!(last.bytes, last.total_bytes);
        assert!(heard.iter().all(|at| at.phase == last.phase));
        last.phase
    };
    assert_eq!(phases(), LoadPhase::Quantizing);
    assert_eq!(phases(), LoadPhase::ReadingCache);
}
