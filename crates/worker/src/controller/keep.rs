//! What outlives the pod of a stage that has ended: the end of its log and how it ended, in a ConfigMap of the run.
//!
//! | key | holds |
//! |---|---|
//! | `end.json` | the attempt as in the status, with `truncated`, and `bytes` of the whole log where that is known |
//! | `log.gz` | the last lines of the pod's only container as `logs?timestamps=true` gives them, in gzip |
//! | `log-<container>.gz` | the same for each container, where there are several |
//!
//! A log that cannot be read is no reason to hold a run up: its end is kept without it, and says why.

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

/// Most bytes of log that are kept of one attempt, before compression; containers share them alike.
pub const KEPT: usize = 256 * 1024;
/// Lines that are asked for of a container. An agent may write gigabytes, and a limit by bytes would cut off the end.
const LINES: i64 = 5000;
/// How long reading a log may take, and how often it is tried while the cluster has trouble.
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// A stage that has ended, and where its log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub attempt: Attempt,
    /// Containers of its pod, in the order they run.
    pub containers: Vec<String>,
}

impl End {
    /// Of an attempt and the pod it had.
    #[must_use]
    pub fn of(attempt: &Attempt, pod: Option<&Pod>) -> Self {
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

/// The end of one container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tail {
    lines: Vec<u8>,
    /// Bytes of the whole; `None` where only its end was read.
    whole: Option<usize>,
    truncated: bool,
}

/// Reads what there is of the log and makes the ConfigMap that is to be kept.
pub async fn gather(client: &Client, run: &Run, end: &End) -> ConfigMap {
    let pods: Api<Pod> = Api::namespaced(client.clone(), run.namespace());
    let share = KEPT / end.containers.len().max(1);
    let mut tails = Vec::new();
    let mut missing = None;
    for container in &end.containers {
        let Some(pod) = &end.attempt.pod_name else {
            break;
        };
        match read(&pods, pod, container, share).await {
            Ok(tail) => tails.push((container.as_str(), tail)),
            Err(why) => missing = Some(why),
        }
    }
    if end.attempt.pod_name.is_none() {
        missing = Some("there was no pod".to_owned());
    }
    let (run, end) = (run.clone(), end.clone());
    let tails: Vec<_> = tails
        .into_iter()
        .map(|(name, tail)| (name.to_owned(), tail))
        .collect();
    let attempt = end.attempt.clone();
    let made = tokio::task::spawn_blocking({
        let (run, end, missing) = (run.clone(), end.clone(), missing.clone());
        move || config_map(&run, &end, &tails, missing.as_deref())
    });
    made.await.unwrap_or_else(|error| {
        tracing::warn!(job = attempt.job_name, %error, "a log could not be compressed");
        config_map(&run, &end, &[], Some("it could not be compressed"))
    })
}

/// The last `share` bytes of a container's log, whole lines; or the sentence why there are none.
async fn read(pods: &Api<Pod>, pod: &str, container: &str, share: usize) -> Result<Tail, String> {
    let mut tried = 0;
    loop {
        let once = tokio::time::timeout(PATIENCE, read_once(pods, pod, container, share));
        let error = match once.await {
            Ok(Ok(tail)) => return Ok(tail),
            Ok(Err(error)) => error,
            Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        // What the server refuses it refuses again: the pod is gone, or the container never ran.
        let final_ = matches!(&error, ReadError::Asking(error)
            if matches!(&**error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429));
        tried += 1;
        if final_ || tried == TRIES {
            return Err(error.to_string());
        }
        tokio::time::sleep(PAUSE * tried).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    Asking(Box<kube::Error>),
    #[error("{0}")]
    Reading(#[from] std::io::Error),
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
    let mut reader = pin!(reader.map_err(|error| ReadError::Asking(Box::new(error)))?);
    let mut kept = Ending::new(share);
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut chunk).await? {
            0 => return Ok(kept.into_tail()),
            read => kept.push(&chunk[..read]),
        }
    }
}

/// Bytes that pass by, of which the last are kept: never more in memory than twice of what is kept.
struct Ending {
    share: usize,
    bytes: Vec<u8>,
    passed: usize,
    lines: i64,
}

impl Ending {
    fn new(share: usize) -> Self {
        Self {
            share,
            bytes: Vec::new(),
            passed: 0,
            lines: 0,
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.passed += chunk.len();
        self.lines += chunk.split(|byte| *byte == b'\n').count() as i64 - 1;
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > 2 * self.share {
            self.bytes.drain(..self.bytes.len() - self.share - 1);
        }
    }

    fn into_tail(mut self) -> Tail {
        let cut = self.passed > self.share;
        if cut {
            // One byte more than the share: when that is a line's end, the line behind it is whole.
            self.bytes
                .drain(..self.bytes.len().saturating_sub(self.share + 1));
            let line = self.bytes.iter().position(|byte| *byte == b'\n');
            // A single line that is longer is kept from its middle on.
            let begin = line.filter(|at| at + 1 < self.bytes.len());
            self.bytes.drain(..begin.map_or(1, |at| at + 1));
        }
        let all = self.lines < LINES;
        Tail {
            lines: self.bytes,
            whole: all.then_some(self.passed),
            truncated: cut || !all,
        }
    }
}

fn config_map(run: &Run, end: &End, tails: &[(String, Tail)], missing: Option<&str>) -> ConfigMap {
    let attempt = &end.attempt;
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
    let alone = end.containers.len() == 1;
    let logs: BTreeMap<String, ByteString> = tails
        .iter()
        .filter_map(|(container, tail)| {
            let key = if alone {
                "log.gz".to_owned()
            } else {
                format!("log-{container}.gz")
            };
            Some((key, ByteString(compressed(&tail.lines)?)))
        })
        .collect();
    let whole: Option<usize> = tails.iter().map(|(_, tail)| tail.whole).sum();
    let mut json = serde_json::to_value(attempt).unwrap_or_default();
    json["truncated"] = json!(tails.iter().any(|(_, tail)| tail.truncated));
    if let Some(whole) = whole.filter(|_| missing.is_none()) {
        json["bytes"] = json!(whole);
    }
    if let Some(why) = missing {
        json["missing"] = Value::from(why);
    }
    ConfigMap {
        metadata,
        // Kubelets and watches need not look at it again.
        immutable: Some(true),
        data: Some([("end.json".to_owned(), json.to_string())].into()),
        binary_data: Some(logs),
    }
}

/// In gzip, without a time or a name in it: the same lines give the same bytes.
fn compressed(lines: &[u8]) -> Option<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::default());
    writer.write_all(lines).ok()?;
    writer.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &[u8], share: usize, chunk: usize) -> Tail {
        let mut ending = Ending::new(share);
        for part in text.chunks(chunk) {
            ending.push(part);
        }
        ending.into_tail()
    }

    #[test]
    fn the_end_of_a_log_is_whole_lines_however_it_arrives() {
        let lines: Vec<String> = (0..400).map(|at| format!("line {at}\n")).collect();
        let text = lines.concat();
        for share in [1, 9, 10, 11, 64, 1000, text.len() - 1, text.len(), 9999] {
            for chunk in [1, 3, 16, 4096] {
                let tail = tail(text.as_bytes(), share, chunk);
                let kept = String::from_utf8(tail.lines).unwrap();
                assert!(
                    text.ends_with(&kept) && kept.len() <= share,
                    "{share} {chunk}"
                );
                assert_eq!(tail.truncated, share < text.len());
                assert_eq!(tail.whole, Some(text.len()));
                if share >= 10 {
                    let more = lines[..lines.len() - kept.lines().count()].last();
                    assert!(kept.starts_with("line "), "{kept:?}");
                    // Not a line less than there is room for.
                    assert!(
                        more.is_none_or(|line| kept.len() + line.len() > share),
                        "{share}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_single_line_that_is_too_long_keeps_its_end() {
        let tail = tail(&b"x".repeat(100), 10, 7);
        assert_eq!((tail.lines.len(), tail.truncated), (10, true));
    }

    #[test]
    fn a_log_of_which_only_the_end_was_asked_for_is_of_unknown_length() {
        let text = "a\n".repeat(LINES as usize);
        let tail = tail(text.as_bytes(), KEPT, 4096);
        assert_eq!((tail.whole, tail.truncated), (None, true));
    }
}
