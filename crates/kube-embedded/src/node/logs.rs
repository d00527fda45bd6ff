//! Log requests: selects the log of a container, or explains why there is none.

use std::{io, path::PathBuf, sync::Arc};

use futures::Stream;
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use super::{container_directory, pod::attempts};
use crate::{
    attempt::Attempt,
    log::{self, LogFilter, LogNotifier, LogOptions},
};

/// The parameters of `GET pods/NAME/log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogQuery {
    pub container: Option<String>,
    pub follow: bool,
    /// The log of the previous attempt.
    pub previous: bool,
    pub timestamps: bool,
    pub since_time: Option<Timestamp>,
    pub since_seconds: Option<u64>,
    pub tail_lines: Option<u64>,
    pub limit_bytes: Option<u64>,
}

/// Reasons why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// 400: the container or attempt does not exist (yet).
    #[error("{0}")]
    BadRequest(String),
    /// 500: the log cannot be read.
    #[error("cannot read the log: {0}")]
    Read(#[from] io::Error),
}

/// The logs below a state directory.
pub(crate) struct Logs {
    directory: PathBuf,
    notifier: Arc<LogNotifier>,
}

impl Logs {
    /// Returns the logs of the node with this state directory.
    pub(crate) fn new(directory: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self {
            directory: directory.into(),
            notifier: LogNotifier::new()?,
        })
    }

    /// Opens a log of `pod`, as the bytes the container wrote.
    pub(crate) async fn open(
        &self,
        pod: &Pod,
        query: &LogQuery,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, LogError> {
        let name = pod.name_any();
        let container = choose_container(pod, query.container.as_deref())?;
        let uid = pod.uid().unwrap_or_default();
        let directory = container_directory(&self.directory, &uid, container);
        let numbers = attempts(&directory);
        // While a container waits for its restart, a kubelet considers the last attempt the previous one.
        let before_last = query.previous && !waits_for_restart(pod, container);
        let number = match (before_last, numbers.as_slice()) {
            (false, [.., last]) | (true, [.., last, _]) => last,
            (true, _) => {
                return Err(LogError::BadRequest(format!(
                    "previous terminated container {container:?} in pod {name:?} not found"
                )));
            }
            (false, []) => {
                let why = waiting_reason(pod, container);
                return Err(LogError::BadRequest(format!(
                    "container {container:?} in pod {name:?} is waiting to start: {why}"
                )));
            }
        };
        let options = LogOptions {
            follow: query.follow,
            tail: query.tail_lines,
            filter: LogFilter {
                since: query.since_time.or(query.since_seconds.map(ago)),
                timestamps: query.timestamps,
                limit: query.limit_bytes,
            },
        };
        let attempt = Attempt::new(directory.join(number.to_string()));
        Ok(log::stream(attempt, options, &self.notifier).await?)
    }
}

/// Returns the time `seconds` before now, or the earliest time.
fn ago(seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    Timestamp::now()
        .checked_sub(seconds)
        .unwrap_or(Timestamp::MIN)
}

fn choose_container<'a>(pod: &'a Pod, requested: Option<&str>) -> Result<&'a str, LogError> {
    let spec = pod.spec.as_ref();
    let main: &[Container] = spec.map_or(&[], |spec| &spec.containers);
    let init = spec.and_then(|spec| spec.init_containers.as_deref());
    let init = init.unwrap_or_default();
    let names = |all: &[Container]| -> String {
        let names: Vec<&str> = all
            .iter()
            .map(|container| container.name.as_str())
            .collect();
        names.join(" ")
    };
    let name = pod.name_any();
    match (requested.filter(|requested| !requested.is_empty()), main) {
        (Some(requested), _) => main
            .iter()
            .chain(init)
            .map(|container| container.name.as_str())
            .find(|container| *container == requested)
            .ok_or_else(|| {
                LogError::BadRequest(format!("container {requested} is not valid for pod {name}"))
            }),
        (None, [only]) => Ok(&only.name),
        (None, several) => {
            let several = names(several);
            let init = match init {
                [] => String::new(),
                init => format!(" or one of the init containers: [{}]", names(init)),
            };
            Err(LogError::BadRequest(format!(
                "a container name must be specified for pod {name}, choose one of: [{several}]{init}"
            )))
        }
    }
}

/// Returns whether a container has run and waits to be restarted.
fn waits_for_restart(pod: &Pod, container: &str) -> bool {
    let status = pod.status.as_ref();
    let mut all = status.into_iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    all.any(|status| {
        let waits = status
            .state
            .as_ref()
            .is_some_and(|state| state.waiting.is_some());
        let ran = status
            .last_state
            .as_ref()
            .is_some_and(|last| last.terminated.is_some());
        status.name == container && waits && ran
    })
}

/// Returns the waiting reason of a container.
fn waiting_reason(pod: &Pod, container: &str) -> String {
    let status = pod.status.as_ref();
    let all = status.into_iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    all.filter(|status| status.name == container)
        .find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .unwrap_or_else(|| "ContainerCreating".to_owned())
}
