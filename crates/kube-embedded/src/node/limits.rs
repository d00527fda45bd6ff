//! What the containers of a node may take of the disk.

/// Bounds of a node. The defaults of logs are those of a kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file of a container's log; a full one is followed by the next.
    pub log_file_bytes: u64,
    /// Files that are kept of one log, the newest; at least one.
    pub log_files: u32,
    /// Bytes that have to be free on the disk before something is started.
    pub min_free_bytes: u64,
    /// Bytes that logs and volumes may take together before nothing more is started; no bound when absent.
    pub max_used_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log_file_bytes: 10 * 1024 * 1024,
            log_files: 5,
            min_free_bytes: 256 * 1024 * 1024,
            max_used_bytes: None,
        }
    }
}
