//! Archives the log and result of a finished stage in a ConfigMap of the run, for when its pod is gone.
//!
//! | key | contents |
//! |---|---|
//! | `end.json` | the attempt as in the status, with `truncated`, and the log's total `bytes` if known |
//! | `log.gz` | the last lines of a single container, as from `logs?timestamps=true`, gzipped |
//! | `log-<container>.gz` | the same per container, if there are several |
//!
//! A log that cannot be read does not block the run: the result is archived without it, with the cause.

use std::{collections::BTreeMap, io::Write, pin::pin, time::Duration};

use flate2::{Compression, GzBuilder};
use futures::AsyncReadExt;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Pod},
};
use kube::{Api, Client, api::LogParams};
use serde_json::{Value, json};

use super::objects;
use flightdeck_core::{
    resources::Attempt,
    runs::{Run, naming},
};

/// Maximum log size per attempt before compression, in bytes, divided among its containers.
const LOG_LIMIT: usize = 256 * 1024;
/// Lines requested per container. An agent may write gigabytes, and a limit in bytes would cut off the end.
const LINES: i64 = 5000;
/// Timeout of reading a log, and the number and delay of attempts while the cluster fails.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A finished attempt whose log is to be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FinishedAttempt {
    pub attempt: Attempt,
    /// The containers of its pod, in the order they run.
    pub containers: Vec<String>,
}

impl FinishedAttempt {
    /// Takes the containers from the attempt's pod.
    #[must_use]
    pub(super) fn new(attempt: &Attempt, pod: Option<&Pod>) -> Self {
        let spec = pod.and_then(|pod| pod.spec.as_ref());
        let containers = spec.into_iter().flat_map(|spec| {
            let init = spec.init_containers.iter().flatten();
            init.chain(&spec.containers)
        });
        Self {
            attempt: attempt.clone(),
            containers: containers.map(|container| container.name.clone()).collect(),
        }
    }
}

/// The last lines of one container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tail {
    lines: Vec<u8>,
    /// Size of the log in bytes; `None` if only its end was read.
    total: Option<usize>,
    truncated: bool,
}

/// Reads the logs of a finished attempt and returns the ConfigMap that archives it.
pub(crate) async fn collect(client: &Client, run: &Run, finished: &FinishedAttempt) -> ConfigMap {
    let pods: Api<Pod> = Api::namespaced(client.clone(), run.namespace());
    let share = LOG_LIMIT / finished.containers.len().max(1);
    let mut tails = Vec::new();
    let mut missing = None;
    for container in &finished.containers {
        let Some(pod) = &finished.attempt.pod_name else {
            break;
        };
        match read(&pods, pod, container, share).await {
            Ok(tail) => tails.push((container.as_str(), tail)),
            Err(why) => missing = Some(why),
        }
    }
    if finished.attempt.pod_name.is_none() {
        missing = Some("there was no pod".to_owned());
    }
    let (run, finished) = (run.clone(), finished.clone());
    let tails: Vec<_> = tails
        .into_iter()
        .map(|(name, tail)| (name.to_owned(), tail))
        .collect();
    let attempt = finished.attempt.clone();
    let compressed = tokio::task::spawn_blocking({
        let (run, finished, missing) = (run.clone(), finished.clone(), missing.clone());
        move || config_map(&run, &finished, &tails, missing.as_deref())
    });
    compressed.await.unwrap_or_else(|error| {
        tracing::warn!(job = attempt.job_name, %error, "could not compress a log");
        config_map(
            &run,
            &finished,
            &[],
            Some("the log could not be compressed"),
        )
    })
}

/// Returns the last `share` bytes of a container's log in whole lines, or why there are none.
async fn read(pods: &Api<Pod>, pod: &str, container: &str, share: usize) -> Result<Tail, String> {
    let mut attempts = 0;
    loop {
        let once = tokio::time::timeout(TIMEOUT, read_once(pods, pod, container, share));
        let error = match once.await {
            Ok(Ok(tail)) => return Ok(tail),
            Ok(Err(error)) => error,
            Err(_) => return Err(format!("no response within {} s", TIMEOUT.as_secs())),
        };
        // A client error is permanent: the pod is gone, or the container never ran.
        let final_ = matches!(&error, ReadError::Request(error)
            if matches!(&**error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429));
        attempts += 1;
        if final_ || attempts == ATTEMPTS {
            return Err(error.to_string());
        }
        tokio::time::sleep(RETRY_DELAY * attempts).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    Request(Box<kube::Error>),
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

async fn read_once(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    share: usize,
) -> Result<Tail, ReadError> {
    let parameters = LogParams {
        container: Some(container.to_owned()),
        timestamps: true,
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    let reader = pods.log_stream(pod, &parameters).await;
    let mut reader = pin!(reader.map_err(|error| ReadError::Request(Box::new(error)))?);
    let mut buffer = TailBuffer::new(share);
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut chunk).await? {
            0 => return Ok(buffer.into_tail()),
            read => buffer.push(&chunk[..read]),
        }
    }
}

/// Retains the last `share` bytes of a stream, using at most twice that memory.
struct TailBuffer {
    share: usize,
    bytes: Vec<u8>,
    total: usize,
    lines: i64,
}

impl TailBuffer {
    fn new(share: usize) -> Self {
        Self {
            share,
            bytes: Vec::new(),
            total: 0,
            lines: 0,
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.total += chunk.len();
        self.lines += chunk.split(|byte| *byte == b'\n').count() as i64 - 1;
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > 2 * self.share {
            self.bytes.drain(..self.bytes.len() - self.share - 1);
        }
    }

    fn into_tail(mut self) -> Tail {
        let cut = self.total > self.share;
        if cut {
            // Keep one byte more than the share: if it ends a line, the line after it is complete.
            self.bytes
                .drain(..self.bytes.len().saturating_sub(self.share + 1));
            let line = self.bytes.iter().position(|byte| *byte == b'\n');
            // A single longer line keeps its end.
            let start = line.filter(|at| at + 1 < self.bytes.len());
            self.bytes.drain(..start.map_or(1, |at| at + 1));
        }
        let all = self.lines < LINES;
        Tail {
            lines: self.bytes,
            total: all.then_some(self.total),
            truncated: cut || !all,
        }
    }
}

fn config_map(
    run: &Run,
    finished: &FinishedAttempt,
    tails: &[(String, Tail)],
    missing: Option<&str>,
) -> ConfigMap {
    let attempt = &finished.attempt;
    let mut metadata = objects::owned(run, naming::log_archive_name(&attempt.job_name));
    metadata.labels.get_or_insert_default().extend([
        (
            naming::LABEL_ARCHIVE.to_owned(),
            naming::ARCHIVED_LOG.to_owned(),
        ),
        (naming::LABEL_STAGE.to_owned(), attempt.stage.clone()),
        (
            naming::LABEL_VERSION.to_owned(),
            attempt.context_version.to_string(),
        ),
        (
            naming::LABEL_ATTEMPT.to_owned(),
            attempt.attempt.to_string(),
        ),
    ]);
    let single = finished.containers.len() == 1;
    let logs: BTreeMap<String, ByteString> = tails
        .iter()
        .filter_map(|(container, tail)| {
            let key = if single {
                "log.gz".to_owned()
            } else {
                format!("log-{container}.gz")
            };
            Some((key, ByteString(compressed(&tail.lines)?)))
        })
        .collect();
    let total: Option<usize> = tails.iter().map(|(_, tail)| tail.total).sum();
    let mut json = serde_json::to_value(attempt).unwrap_or_default();
    json["truncated"] = json!(tails.iter().any(|(_, tail)| tail.truncated));
    if let Some(total) = total.filter(|_| missing.is_none()) {
        json["bytes"] = json!(total);
    }
    if let Some(why) = missing {
        json["missing"] = Value::from(why);
    }
    ConfigMap {
        metadata,
        // Spares kubelets and watches from checking it for changes.
        immutable: Some(true),
        data: Some([("end.json".to_owned(), json.to_string())].into()),
        binary_data: Some(logs),
    }
}

/// Compresses without a time or file name, so that equal lines give equal bytes.
fn compressed(lines: &[u8]) -> Option<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::default());
    writer.write_all(lines).ok()?;
    writer.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &[u8], share: usize, chunk: usize) -> Tail {
        let mut buffer = TailBuffer::new(share);
        for part in text.chunks(chunk) {
            buffer.push(part);
        }
        buffer.into_tail()
    }

    #[test]
    fn tail_has_whole_lines_for_any_chunk_size() {
        let lines: Vec<String> = (0..400).map(|at| format!("line {at}\n")).collect();
        let text = lines.concat();
        for share in [1, 9, 10, 11, 64, 1000, text.len() - 1, text.len(), 9999] {
            for chunk in [1, 3, 16, 4096] {
                let tail = tail(text.as_bytes(), share, chunk);
                let retained = String::from_utf8(tail.lines).unwrap();
                assert!(
                    text.ends_with(&retained) && retained.len() <= share,
                    "{share} {chunk}"
                );
                assert_eq!(tail.truncated, share < text.len());
                assert_eq!(tail.total, Some(text.len()));
                if share >= 10 {
                    let more = lines[..lines.len() - retained.lines().count()].last();
                    assert!(retained.starts_with("line "), "{retained:?}");
                    // The tail uses the available space.
                    assert!(
                        more.is_none_or(|line| retained.len() + line.len() > share),
                        "{share}"
                    );
                }
            }
        }
    }

    #[test]
    fn keeps_the_end_of_a_single_long_line() {
        let tail = tail(&b"x".repeat(100), 10, 7);
        assert_eq!((tail.lines.len(), tail.truncated), (10, true));
    }

    #[test]
    fn total_is_unknown_at_the_line_limit() {
        let text = "a\n".repeat(LINES as usize);
        let tail = tail(text.as_bytes(), LOG_LIMIT, 4096);
        assert_eq!((tail.total, tail.truncated), (None, true));
    }
}
