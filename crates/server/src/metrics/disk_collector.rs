//! What the KV cache on disk holds and has done.

use std::fmt;

use engine::DiskStats;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::engine_collector::series;

/// Writes the series; a server without a disk has none of them.
pub(super) fn encode(
    disk: &DiskStats,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let store = &disk.store;
    for (name, help, value) in [
        ("purser_kv_disk_bytes", "Bytes of the files", store.bytes),
        ("purser_kv_disk_blocks", "Blocks on disk", store.blocks),
    ] {
        series(encoder, name, help, &ConstGauge::new(value as f64))?;
    }
    let counters = [
        (
            "purser_kv_disk_written_blocks",
            "Blocks written",
            store.written,
        ),
        ("purser_kv_disk_read_blocks", "Blocks read back", store.read),
        (
            "purser_kv_disk_dropped_blocks",
            "Blocks that were not written, because the disk was too slow",
            store.dropped,
        ),
        (
            "purser_kv_disk_write_errors",
            "Blocks that could not be written",
            store.write_errors,
        ),
        (
            "purser_kv_disk_damaged_blocks",
            "Blocks on disk that could not be used",
            store.damaged,
        ),
        (
            "purser_kv_disk_restored_tokens",
            "Prompt tokens whose KV was read back",
            disk.restored_tokens,
        ),
    ];
    for (name, help, value) in counters {
        series(encoder, name, help, &ConstCounter::new(value))?;
    }
    series(
        encoder,
        "purser_kv_disk_restore_seconds",
        "Seconds spent reading blocks back",
        &ConstCounter::new(disk.restore_seconds),
    )
}
