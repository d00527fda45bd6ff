//! Answers the requests of the Detail panel.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{Lane, Performer, connection::Connection, follow, ledger, send};
use crate::{
    detail_io::{DetailRequest, DetailResponse, Files, LineSource, LogItem},
    effect::{FollowedRun, Outcome},
    msg::Msg,
    panels::detail,
    widgets::text_view::Export,
    world::RunId,
};
use flightdeck_core::{
    files::{ReadError, read_bounded},
    log::{LogEvent, LogSource},
    runs::{DOCUMENTS, Stage},
};
use flightdeck_host::{
    forge::{self, Forge, ForgeError, ForgeOptions, RetryPolicy},
    ledger::{Ledger, LedgerError},
    repository::{self, Diff, DiffError},
};
use flightdeck_verbs::ClusterContext;

/// Largest document shown, in bytes.
const DOCUMENT_LIMIT: u64 = 1024 * 1024;
/// Log lines per message.
const BATCH: usize = 2048;

pub(super) fn perform(performer: &mut Performer, request: DetailRequest) {
    let lane = match request {
        DetailRequest::Log {
            run,
            name,
            kind,
            removed: false,
        } => {
            // Stop sending the log of another run from the ledger.
            performer.abort_lane(Lane::Log);
            let interest = performer.followers.show(&run);
            let run = FollowedRun {
                id: run,
                name,
                kind,
            };
            return follow::spawn(performer, run, interest);
        }
        DetailRequest::Log { removed: true, .. } | DetailRequest::StopLog => {
            performer.followers.hide();
            Some(Lane::Log)
        }
        DetailRequest::Documents(_)
        | DetailRequest::Files { .. }
        | DetailRequest::Diff { .. }
        | DetailRequest::PullRequest { .. }
        | DetailRequest::StopPullRequest => Some(Lane::Detail),
        DetailRequest::Background(..)
        | DetailRequest::ContinueSearch
        | DetailRequest::Save { .. } => None,
    };
    let connection = performer.connection.clone();
    let (ledger, sender) = (performer.ledger.clone(), performer.sender.clone());
    // Boxed: the future is as large as the largest request.
    let work = Box::pin(respond(request, connection, ledger, sender));
    match lane {
        Some(lane) => performer.spawn_in_lane(lane, work),
        None => drop(performer.tasks.spawn(work)),
    }
}

/// Answers a request; those that need the cluster wait for the connection.
async fn respond(
    request: DetailRequest,
    connection: Connection,
    ledger: Option<Ledger>,
    sender: mpsc::Sender<Msg>,
) {
    let response = match request {
        DetailRequest::Documents(directory) => {
            let read = directory.clone();
            let documents = spawn_blocking(move || documents(&read))
                .await
                .unwrap_or_default();
            DetailResponse::Documents(directory, documents)
        }
        DetailRequest::Files { run, config_map } => {
            let found = match connection.ready().await {
                Ok(context) => files(&context, &config_map).await,
                Err(reason) => Err(reason),
            };
            // The ledger may have the files of a deleted run.
            let found = match found {
                Ok(files) => Ok(files),
                Err(reason) => ledger::files(ledger, &run).await.ok_or(reason),
            };
            DetailResponse::Files(run, found)
        }
        DetailRequest::Log { run, .. } => {
            let restarted = DetailResponse::LogRestarted(run.clone());
            send(&sender, Msg::Detail(restarted)).await;
            let why = send_archived_log(ledger, &run, &sender).await;
            DetailResponse::LogEnded(run, why)
        }
        DetailRequest::Diff {
            run,
            repository,
            branch,
            base,
            head,
        } => DetailResponse::Diff(run, diff(&repository, &branch, &base, &head).await),
        DetailRequest::PullRequest { run, url, number } => match connection.ready().await {
            Ok(context) => {
                watch_pull_request(&context, run, &url, number, &sender).await;
                return;
            }
            Err(reason) => DetailResponse::PullRequest(run, Err(reason)),
        },
        DetailRequest::Save { name, export } => {
            let saved = spawn_blocking(move || save(&std::env::temp_dir(), &name, &export)).await;
            let outcome = match saved {
                Ok(Ok(path)) => Outcome::Saved(path),
                Ok(Err(error)) => Outcome::Failed(format!("cannot save the text: {error}")),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            send(&sender, Msg::Done(outcome)).await;
            return;
        }
        DetailRequest::Background(number, task) => {
            let Ok(task) = spawn_blocking(move || task.run()).await else {
                return;
            };
            DetailResponse::BackgroundDone(number, Box::new(task))
        }
        DetailRequest::ContinueSearch => DetailResponse::ContinueSearch,
        DetailRequest::StopLog | DetailRequest::StopPullRequest => return,
    };
    send(&sender, Msg::Detail(response)).await;
}

/// Reads the documents in a task's folder, in reading order. An unreadable one is replaced by the reason.
fn documents(directory: &Path) -> Vec<(String, String)> {
    let read = |name: &&str| {
        let text = match read_bounded(&directory.join(name), DOCUMENT_LIMIT) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => format!("Cannot show this document: {error}."),
        };
        Some(((*name).to_owned(), text))
    };
    DOCUMENTS.iter().filter_map(read).collect()
}

async fn files(context: &ClusterContext, config_map: &str) -> Result<Files, String> {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    let found = api.get_opt(config_map).await;
    match found {
        Ok(Some(object)) => Ok(object.data.unwrap_or_default()),
        Ok(None) => Err(format!(
            "ConfigMap {config_map} with the run's files not found."
        )),
        Err(error) => Err(format!("Cannot read the run's files: {error}")),
    }
}

/// Sends the archived log of a run. Returns the error, if any.
async fn send_archived_log(
    ledger: Option<Ledger>,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String> {
    let (ledger, uid) = (ledger?, run.to_owned());
    send_from_disk(move || ledger.read_in_order(&uid), run, sender).await
}

/// Sends a log from disk in batches, so that memory use does not depend on its length. Returns the error, if any.
pub(super) async fn send_from_disk<I>(
    read: impl FnOnce() -> Result<I, LedgerError> + Send + 'static,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String>
where
    I: Iterator<Item = LogEvent>,
{
    let (batches, mut arrived) = mpsc::channel::<Vec<LogItem>>(1);
    let reading = spawn_blocking(move || {
        let mut items = read()?.filter_map(|event| item(&event));
        loop {
            let batch: Vec<LogItem> = items.by_ref().take(BATCH).collect();
            // The end of the log, or the receiver is gone.
            if batch.is_empty() || batches.blocking_send(batch).is_err() {
                return Ok::<_, LedgerError>(());
            }
        }
    });
    while let Some(batch) = arrived.recv().await {
        send_items(run, batch, sender).await;
    }
    match reading.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error}.")),
        Err(error) => Some(error.to_string()),
    }
}

async fn send_items(run: &str, items: Vec<LogItem>, sender: &mpsc::Sender<Msg>) {
    if !items.is_empty() {
        send(
            sender,
            Msg::Detail(DetailResponse::Log(run.to_owned(), items)),
        )
        .await;
    }
}

/// Converts a log event for the panel; `None` for events that it does not show.
pub(super) fn item(event: &LogEvent) -> Option<LogItem> {
    match event {
        LogEvent::Line(line) => {
            let text = match line.left_out {
                0 => line.text.clone(),
                bytes => format!("{} … ({bytes} bytes cut)", line.text),
            };
            // A truncated line ends with a notice instead of its bytes.
            let raw = line.bytes.clone().filter(|_| line.left_out == 0);
            Some(LogItem {
                at: line.at,
                source: Some(source(&line.source)),
                text,
                raw,
            })
        }
        LogEvent::Notice(source, notice) => {
            Some(notice_item(format!("{}: {notice}", source.tag())))
        }
        LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => None,
    }
}

/// A line by Flightdeck itself.
pub(super) fn notice_item(text: String) -> LogItem {
    LogItem {
        at: Timestamp::now(),
        source: None,
        text,
        raw: None,
    }
}

fn source(source: &LogSource) -> LineSource {
    LineSource {
        // A pod without the stage label is most likely the agent's.
        stage: source.stage.unwrap_or(Stage::Agent),
        version: source.context_version,
        attempt: source.attempt,
        container: match source.restart {
            0 => source.container.clone(),
            restarts => format!("{}+{restarts}", source.container),
        },
    }
}

/// Returns what merging a branch into its base changes, after fetching it if its commit is missing.
async fn diff(root: &Path, branch: &str, base: &str, head: &str) -> Result<String, String> {
    let shown = |diff: Diff| match diff.note {
        // A line before the first file is shown unchanged.
        Some(note) => format!("{note}\n{}", diff.text),
        None => diff.text,
    };
    match repository::diff(root, base, head).await {
        Ok(diff) => return Ok(shown(diff)),
        Err(DiffError::Unknown(_)) => {}
        Err(error) => return Err(format!("{error}.")),
    }
    let facts = repository::read(root)
        .await
        .map_err(|error| error.to_string())?;
    repository::fetch(&facts, branch)
        .await
        .map_err(|error| error.to_string())?;
    let diff = repository::diff(root, base, head).await;
    diff.map(shown).map_err(|error| format!("{error}."))
}

/// Polls a pull request and sends each change, until it is closed or has not changed for long.
async fn watch_pull_request(
    context: &ClusterContext,
    run: RunId,
    url: &str,
    number: i64,
    sender: &mpsc::Sender<Msg>,
) {
    // One client for all polls: it keeps ETags, so that an unchanged response costs no rate limit.
    let opened = open_forge(context, url).map_err(|error| error.to_string());
    let opened = opened.and_then(|forge| forge.ok_or_else(|| "not a known Git host".to_owned()));
    let forge = match opened {
        Ok(forge) => forge,
        Err(why) => {
            send(
                sender,
                Msg::Detail(DetailResponse::PullRequest(run, Err(why))),
            )
            .await;
            return;
        }
    };
    let mut last = None;
    let mut changed_at = Instant::now();
    loop {
        let found = forge.status(number).await;
        if last.as_ref() != Some(&found) {
            changed_at = Instant::now();
            let news = found
                .clone()
                .map(Box::new)
                .map_err(|error| error.to_string());
            send(
                sender,
                Msg::Detail(DetailResponse::PullRequest(run.clone(), news)),
            )
            .await;
        }
        let next = detail::next_poll(found.as_ref(), changed_at.elapsed());
        last = Some(found);
        match next {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return,
        }
    }
}

/// Opens the Git host of a repository; `None` if it is unknown or has no pull requests.
fn open_forge(context: &ClusterContext, url: &str) -> Result<Option<Box<dyn Forge>>, ForgeError> {
    let Some(target) = context.settings.forge_target(url) else {
        return Ok(None);
    };
    let options = ForgeOptions {
        token: forge::token(Some(&target), |name| std::env::var(name).ok()),
        retry_policy: RetryPolicy::interactive(),
        ..ForgeOptions::default()
    };
    forge::open(&target, options)
}

/// Writes a text to a new file with mode 0600.
fn save(directory: &Path, name: &str, export: &Export) -> io::Result<PathBuf> {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    for count in 1..1_000 {
        let number = if count == 1 {
            String::new()
        } else {
            format!("-{count}")
        };
        let path = directory.join(format!("flightdeck-{name}{number}.{}", export.extension()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => {
                let mut file = BufWriter::new(file);
                export.write(&mut file)?;
                return file.flush().map(|()| path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "too many files of this name",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::widgets::text_view::{ExportFormat, Plain, TextView};

    #[test]
    fn save_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let text = |text| TextView::of(text, Arc::new(Plain)).export(ExportFormat::default());
        let first = save(folder.path(), "run/1 logs", &text("one")).unwrap();
        let second = save(folder.path(), "run/1 logs", &text("two")).unwrap();
        assert_eq!(first.file_name().unwrap(), "flightdeck-run_1_logs.txt");
        assert_eq!(fs::read_to_string(first).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(second).unwrap(), "two\n");
    }

    #[test]
    fn reads_known_documents_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("prompt.md", "p"), ("task.md", "t"), ("notes.md", "n")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // Nothing but a regular file is read: a repository can bring a link to `/dev/zero`.
        std::os::unix::fs::symlink("/dev/null", folder.path().join("design-spec.md")).unwrap();
        let read = documents(folder.path());
        assert_eq!(
            read,
            [
                ("task.md".to_owned(), "t".to_owned()),
                ("prompt.md".to_owned(), "p".to_owned()),
                (
                    "design-spec.md".to_owned(),
                    "Cannot show this document: it is a device, not a file.".to_owned()
                )
            ]
        );
    }
}
