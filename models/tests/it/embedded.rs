//! The embedded model opens, loads and answers.

use kernels::StepBatch;
use models::{Device, Dtype, Limits, LoadOptions, ModelSource, open};

#[test]
fn smoke() {
    let model = open(&ModelSource::Embedded).unwrap();
    assert!(model.unread_tensors().is_empty());
    let limits = Limits {
        num_blocks: 8,
        block_size: 16,
        max_num_batched_tokens: 64,
        max_num_seqs: 4,
        max_model_len: 512,
    };
    for device in [Device::Cpu, Device::Reference] {
        let model = open(&ModelSource::Embedded).unwrap();
        let options = LoadOptions {
            device,
            dtype: Dtype::Auto,
            limits,
            threads: None,
        };
        let mut loaded = model.load(&options, &mut |_| ()).unwrap();
        let mut batch = StepBatch::default();
        batch.clear();
        batch.token_ids = vec![1, 300, 500];
        batch.positions = vec![0, 1, 2];
        batch.slot_mapping = vec![16, 17, 18];
        batch.query_start = vec![0, 3];
        batch.context_lens = vec![3];
        batch.block_tables = vec![1];
        batch.block_table_start = vec![0, 1];
        batch.logits_rows = vec![2];
        let logits = loaded.runner.forward(&batch).unwrap();
        println!("{:?}", &logits.row(0)[..5]);
    }
}
