//! How much a store holds.

/// Bounds in bytes, but for the number of files. A text counts with its length, a file with the
/// lengths of its path and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Everything of all tenants. What would exceed it is refused: nobody may push out what is
    /// another's.
    pub total_bytes: u64,
    /// Offloaded text of one tenant. What was not used for longest makes room, because handles are
    /// never given back: an agent would else be refused forever once it has filled its share.
    pub offloaded_bytes: u64,
    /// One namespace of files; what would exceed it is refused.
    pub namespace_bytes: u64,
    /// Files of one namespace.
    pub namespace_files: u64,
    /// Text of one file.
    pub file_bytes: u64,
}

impl Default for Limits {
    /// 16 GiB in all, 256 MiB of offloaded text per tenant, namespaces of 64 MiB and 4,096 files of
    /// up to 1 MiB.
    fn default() -> Self {
        Self {
            total_bytes: 16 << 30,
            offloaded_bytes: 256 << 20,
            namespace_bytes: 64 << 20,
            namespace_files: 4096,
            file_bytes: 1 << 20,
        }
    }
}
