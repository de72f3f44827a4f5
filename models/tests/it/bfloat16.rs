//! How far the embedded model, whose weights are bfloat16, moves where the machine multiplies
//! bfloat16 and so rounds activations for them.

use kernels::InstructionSet;
use models::{Device, Dtype, KvCacheDtype};

use crate::golden::answers;
use crate::kv_cache::{compare, logits};

#[test]
fn products_of_bfloat16_stay_near_float32() {
    let answers = answers();
    let [want, got] = [Dtype::Float32, Dtype::Auto]
        .map(|dtype| logits(&answers, Device::Cpu, dtype, KvCacheDtype::Float32));
    if InstructionSet::Avx512Bf16.is_available() {
        let (mean, equal) = compare(&want, &got);
        println!("mean divergence {mean:.2e}, equal tokens {equal:.4}");
        assert!(mean > 0.0 && mean < 2e-5, "{mean:e}");
        assert!(equal >= 0.99, "{equal}");
    } else {
        assert!(got == want, "nothing is rounded");
    }
}
