//! The benchmark against the server of this crate.

use super::*;
use crate::world::{Setup, World};

#[tokio::test]
async fn our_server_finds_what_the_benchmark_asks_for() {
    let world = World::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let (args, output) = arguments(&world.url, &folder, &["--repeat", "2"]);
    ttft::run(&args, &mut Vec::new(), pending()).await.unwrap();
    let json: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    assert_eq!(json["server"]["prompt_form"], "token_ids");
    assert_eq!(json["server"]["endpoint"], "/v1/completions");
    let measurements = json["measurements"].as_array().unwrap();
    assert_eq!(measurements.len(), 14);
    for measurement in measurements {
        assert_eq!(measurement["prompt_tokens"], 2000, "{measurement}");
        let asked = measurement["hit_rate_asked"].as_f64().unwrap();
        let cached = measurement["cached_tokens"].as_u64().unwrap() as usize;
        let prefix = (asked / 100.0 * 2000.0) as usize;
        // Found to the token, although blocks have 16; of a prompt that was served before, one
        // token is computed.
        assert_eq!(cached, prefix.min(1999), "{measurement}");
    }
    assert_eq!(json["notes"], serde_json::json!([]));
}
