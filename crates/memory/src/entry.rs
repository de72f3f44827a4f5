//! How records are arranged in the database.

use redb::{ReadableTable, TableDefinition};

use crate::handle::{NAME_LENGTH, Name};
use crate::{Handle, MemoryPath, Namespace, Tenant};

/// What is written under `format`: the arrangement of this file.
pub(crate) const FORMAT: u64 = 1;

/// Offloaded texts by tenant and name.
pub(crate) const TEXTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("texts");
/// By tenant and name: length of the text, number of its last use, uses.
pub(crate) const ENTRIES: TableDefinition<'_, &[u8], (u64, u64, u64)> =
    TableDefinition::new("entries");
/// Names by tenant and number of the last use: the oldest comes first.
pub(crate) const ORDER: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("order");
/// By tenant: bytes, texts, and texts that had to make room so far.
pub(crate) const SHARES: TableDefinition<'_, &[u8], (u64, u64, u64)> =
    TableDefinition::new("shares");
/// Files by tenant, namespace and path.
pub(crate) const FILES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("files");
/// By tenant and namespace: bytes and files.
pub(crate) const NAMESPACES: TableDefinition<'_, &[u8], (u64, u64)> =
    TableDefinition::new("namespaces");
/// Numbers of the whole store: `format`, `bytes` (of all texts and files), `use` (the last one's
/// number).
pub(crate) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// Names in [`NUMBERS`].
pub(crate) const FORMAT_NUMBER: &str = "format";
/// See above.
pub(crate) const BYTES_NUMBER: &str = "bytes";
/// See above.
pub(crate) const USE_NUMBER: &str = "use";

/// Key of an offloaded text.
pub(crate) type TextKey = [u8; Tenant::LENGTH + NAME_LENGTH];

pub(crate) fn text_key(tenant: &Tenant, name: &Name) -> TextKey {
    let mut key = [0; Tenant::LENGTH + NAME_LENGTH];
    key[..Tenant::LENGTH].copy_from_slice(tenant.bytes());
    key[Tenant::LENGTH..].copy_from_slice(name);
    key
}

/// The key of the text that a handle stands for: among all of a tenant's texts, those that are put
/// away under one handle are never two.
pub(crate) fn find_key(
    entries: &impl ReadableTable<&'static [u8], (u64, u64, u64)>,
    tenant: &Tenant,
    handle: &Handle,
) -> Result<Option<TextKey>, redb::StorageError> {
    let names = handle.names();
    let [first, last] = [names.start(), names.end()].map(|name| text_key(tenant, name));
    let mut found = entries.range(first.as_slice()..=last.as_slice())?;
    let Some((key, _)) = found.next().transpose()? else {
        return Ok(None);
    };
    Ok(key.value().try_into().ok())
}

/// Key in the order of uses; big-endian, so that the database's order is that of the numbers.
pub(crate) fn order_key(tenant: &Tenant, use_number: u64) -> [u8; Tenant::LENGTH + 8] {
    let mut key = [0; Tenant::LENGTH + 8];
    key[..Tenant::LENGTH].copy_from_slice(tenant.bytes());
    key[Tenant::LENGTH..].copy_from_slice(&use_number.to_be_bytes());
    key
}

pub(crate) fn namespace_key(tenant: &Tenant, namespace: &Namespace) -> Vec<u8> {
    [tenant.bytes().as_slice(), namespace.as_str().as_bytes()].concat()
}

/// What the keys of all files of a namespace begin with. A namespace has no NUL in its name, so no
/// namespace's files begin with another's.
pub(crate) fn files_prefix(tenant: &Tenant, namespace: &Namespace) -> Vec<u8> {
    [namespace_key(tenant, namespace).as_slice(), &[0]].concat()
}

/// What the keys of all files in a folder begin with, given the namespace's prefix.
pub(crate) fn folder_prefix(files: &[u8], folder: &MemoryPath) -> Vec<u8> {
    if folder.is_root() {
        files.to_vec()
    } else {
        [files, folder.below().as_bytes(), b"/"].concat()
    }
}
