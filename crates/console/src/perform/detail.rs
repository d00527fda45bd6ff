//! Answers what the Detail panel asks for.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::memory;
use crate::{
    effect::Outcome,
    msg::Msg,
    panels::detail::{self, Files, Item, News, Source, Want},
    widgets::text_view::Export,
    world::RunId,
};
use flightdeck_core::{
    files::{ReadError, read_bounded},
    log::{LogEvent, LogSource},
    runs::{DOCUMENTS, ForgeTarget, Stage},
};
use flightdeck_host::{
    forge::{Forge, ForgeError, Pace, PullRequestStatus, Secret, stand_in},
    ledger::{Ledger, LedgerError},
    repository::{self, Diff, DiffError},
};
use flightdeck_verbs::Context;

/// Most bytes of a document that are read.
const DOCUMENT_LIMIT: u64 = 1024 * 1024;
/// Most lines of a log in one message.
const BATCH: usize = 2048;

/// Whether a want needs the cluster.
pub(super) const fn needs_cluster(want: &Want) -> bool {
    matches!(
        want,
        Want::Files { .. } | Want::Log { removed: false, .. } | Want::PullRequest { .. }
    )
}

/// Answers one want; `context` is there for those that need the cluster.
pub(super) async fn answer(
    want: Want,
    context: Result<Arc<Context>, String>,
    ledger: Option<Ledger>,
    sender: mpsc::Sender<Msg>,
) {
    let news = match want {
        Want::Documents(directory) => {
            let read = directory.clone();
            let documents = spawn_blocking(move || documents(&read))
                .await
                .unwrap_or_default();
            News::Documents(directory, documents)
        }
        Want::Files { run, config_map } => {
            let found = match context {
                Ok(context) => files(&context, &config_map).await,
                Err(reason) => Err(reason),
            };
            // Of a run that is gone the ledger may have them.
            let found = match found {
                Ok(files) => Ok(files),
                Err(reason) => memory::files(ledger, &run).await.ok_or(reason),
            };
            News::Files(run, found)
        }
        Want::Log { run, .. } => {
            let begins = News::LogBegins(run.clone());
            super::send(&sender, Msg::Detail(begins)).await;
            let why = remembered(ledger, &run, &sender).await;
            News::LogEnded(run, why)
        }
        Want::Diff {
            run,
            repository,
            branch,
            base,
            head,
        } => News::Diff(run, difference(&repository, &branch, &base, &head).await),
        Want::PullRequest { run, url, number } => match context {
            Ok(context) => {
                watch_pull_request(&context, run, &url, number, &sender).await;
                return;
            }
            Err(reason) => News::PullRequest(run, Err(reason)),
        },
        Want::Save { name, export } => {
            let saved = spawn_blocking(move || save(&std::env::temp_dir(), &name, &export)).await;
            let outcome = match saved {
                Ok(Ok(path)) => Outcome::Saved(path),
                Ok(Err(error)) => Outcome::Failed(format!("the text could not be saved: {error}")),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            super::send(&sender, Msg::Done(outcome)).await;
            return;
        }
        Want::Search(number, errand) => {
            let Ok(errand) = spawn_blocking(move || errand.run()).await else {
                return;
            };
            News::Searched(number, Box::new(errand))
        }
        Want::LookOn => News::LookOn,
        Want::LeaveLog | Want::LeavePullRequest => return,
    };
    super::send(&sender, Msg::Detail(news)).await;
}

/// The documents in a task's folder, in the order they are read. One that cannot be read has the reason in its place.
fn documents(directory: &Path) -> Vec<(String, String)> {
    let read = |name: &&str| {
        let text = match read_bounded(&directory.join(name), DOCUMENT_LIMIT) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => format!("This document cannot be shown: {error}."),
        };
        Some(((*name).to_owned(), text))
    };
    DOCUMENTS.iter().filter_map(read).collect()
}

async fn files(context: &Context, config_map: &str) -> Result<Files, String> {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    let found = api.get_opt(config_map).await;
    match found {
        Ok(Some(object)) => Ok(object.data.unwrap_or_default()),
        Ok(None) => Err(format!(
            "The ConfigMap {config_map} with the run's files is gone."
        )),
        Err(error) => Err(format!("The run's files cannot be read: {error}")),
    }
}

/// Sends the lines of a run that the ledger has; gives why not, if it came to that.
async fn remembered(
    ledger: Option<Ledger>,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String> {
    let (ledger, uid) = (ledger?, run.to_owned());
    from_disk(move || ledger.read_in_order(&uid), run, sender).await
}

/// Sends what a log on disk has, a batch at a time, however long it is.
pub(super) async fn from_disk<I>(
    read: impl FnOnce() -> Result<I, LedgerError> + Send + 'static,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String>
where
    I: Iterator<Item = LogEvent>,
{
    let (batches, mut arrived) = mpsc::channel::<Vec<Item>>(1);
    let reading = spawn_blocking(move || {
        let mut items = read()?.filter_map(|event| item(&event));
        loop {
            let batch: Vec<Item> = items.by_ref().take(BATCH).collect();
            // Nobody looks any more, or there is no more.
            if batch.is_empty() || batches.blocking_send(batch).is_err() {
                return Ok::<_, LedgerError>(());
            }
        }
    });
    while let Some(batch) = arrived.recv().await {
        tell(run, batch, sender).await;
    }
    match reading.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error}.")),
        Err(error) => Some(error.to_string()),
    }
}

async fn tell(run: &str, items: Vec<Item>, sender: &mpsc::Sender<Msg>) {
    if !items.is_empty() {
        super::send(sender, Msg::Detail(News::Log(run.to_owned(), items))).await;
    }
}

/// What the panel is told of an event of a log.
pub(super) fn item(event: &LogEvent) -> Option<Item> {
    match event {
        LogEvent::Line(line) => {
            let text = match line.left_out {
                0 => line.text.clone(),
                bytes => format!("{} … {bytes} bytes of this line were left out", line.text),
            };
            // Of one that was cut the remark stands for its end.
            let raw = line.bytes.clone().filter(|_| line.left_out == 0);
            Some(Item {
                at: line.at,
                source: Some(source(&line.source)),
                text,
                raw,
            })
        }
        LogEvent::Notice(source, notice) => Some(remark(format!("{}: {notice}", source.tag()))),
        LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => None,
    }
}

pub(super) fn remark(text: String) -> Item {
    Item {
        at: Timestamp::now(),
        source: None,
        text,
        raw: None,
    }
}

fn source(source: &LogSource) -> Source {
    Source {
        // Every pod of a run bears its stage; one that lost the label is most likely the agent's.
        stage: source.stage.unwrap_or(Stage::Agent),
        version: source.context_version,
        attempt: source.attempt,
        container: match source.restart {
            0 => source.container.clone(),
            restarts => format!("{}+{restarts}", source.container),
        },
    }
}

/// What merging a branch into its base changes, fetched first when its commit is not here.
async fn difference(root: &Path, branch: &str, base: &str, head: &str) -> Result<String, String> {
    let shown = |diff: Diff| match diff.note {
        // A line before the first file is shown as it is.
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

/// Tells how a pull request stands, and tells again whenever that changes, until it is done or has long been at rest.
async fn watch_pull_request(
    context: &Context,
    run: RunId,
    url: &str,
    number: i64,
    sender: &mpsc::Sender<Msg>,
) {
    let Some(target) = context.settings.forge_target(url) else {
        let why = "the remote is no forge that the settings know".to_owned();
        super::send(sender, Msg::Detail(News::PullRequest(run, Err(why)))).await;
        return;
    };
    let mut last = None;
    let mut changed = Instant::now();
    loop {
        let found = pull_request(&target, number).await;
        if last.as_ref() != Some(&found) {
            changed = Instant::now();
            let news = found
                .clone()
                .map(Box::new)
                .map_err(|error| error.to_string());
            super::send(sender, Msg::Detail(News::PullRequest(run.clone(), news))).await;
        }
        let next = detail::next_look(found.as_ref(), changed.elapsed());
        last = Some(found);
        match next {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return,
        }
    }
}

async fn pull_request(target: &ForgeTarget, number: i64) -> Result<PullRequestStatus, ForgeError> {
    // A stand-in on this machine has a token of its own; the person's is for real forges alone.
    let token = if target.api_url.starts_with("http://127.0.0.1:") {
        Secret::new(stand_in::TOKEN)
    } else {
        Secret::from_environment(|name| std::env::var(name).ok())
    };
    let forge = Forge::new(target, token)?.paced(Pace::watched());
    forge.status(number).await
}

/// Writes a text to a new file that only this person reads.
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
        "there are a thousand of them already",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::widgets::text_view::{Form, Plain, TextView};

    #[test]
    fn a_saved_text_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let text = |text| TextView::of(text, Arc::new(Plain)).export(Form::default());
        let first = save(folder.path(), "run/1 logs", &text("one")).unwrap();
        let second = save(folder.path(), "run/1 logs", &text("two")).unwrap();
        assert_eq!(first.file_name().unwrap(), "flightdeck-run_1_logs.txt");
        assert_eq!(fs::read_to_string(first).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(second).unwrap(), "two\n");
    }

    #[test]
    fn documents_are_read_in_their_order_and_others_are_left() {
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
                    "This document cannot be shown: it is a device, not a file.".to_owned()
                )
            ]
        );
    }
}
