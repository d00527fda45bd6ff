//! Limits on the disk usage of containers.

/// Limits of a node. The defaults of logs are those of a kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size at which a container's log file is rotated, in bytes.
    pub log_file_bytes: u64,
    /// Maximum number of files per log; at least one.
    pub log_files: u32,
    /// Free disk space required to start a container, in bytes.
    pub min_free_bytes: u64,
    /// Maximum size of logs and volumes together, in bytes, above which no container is started; `None` for no limit.
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
