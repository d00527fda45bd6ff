//! Answers what the Detail panel asks for.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::memory;
use crate::{
    cluster::{
        self,
        logs::{FollowOptions, LogEvent, LogSource, RunRef, follow_run},
    },
    console::{
        effect::Outcome,
        msg::Msg,
        panels::detail::{self, Files, Item, News, Source, Want},
        world::RunId,
    },
    forge::{Forge, ForgeError, Pace, PullRequestStatus, Secret, stand_in},
    ledger::{Ledger, LedgerError},
    repository::{self, DiffError},
    runs::{DOCUMENTS, ForgeTarget, RunKind, Stage},
    verbs::{self, Context},
};

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
        Want::Log {
            run,
            name,
            kind,
            removed,
        } => {
            let why = match context {
                _ if removed => remembered(ledger, &run, &sender).await,
                Ok(context) => Box::pin(log(&context, &run, name, kind, &sender)).await,
                Err(reason) => Some(reason),
            };
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
        Want::Save { name, text } => {
            let saved = spawn_blocking(move || save(&std::env::temp_dir(), &name, &text)).await;
            let outcome = match saved {
                Ok(Ok(path)) => Outcome::Saved(path),
                Ok(Err(error)) => Outcome::Failed(format!("the text could not be saved: {error}")),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            super::send(&sender, Msg::Done(outcome)).await;
            return;
        }
        Want::GoOn => News::GoOn,
        Want::LeaveLog | Want::LeavePullRequest => return,
    };
    super::send(&sender, Msg::Detail(news)).await;
}

/// The documents in a task's folder, in the order they are read.
fn documents(directory: &Path) -> Vec<(String, String)> {
    let read = |name: &&str| {
        let path = directory.join(name);
        let size = fs::metadata(&path).ok()?.len();
        let text = if size > DOCUMENT_LIMIT {
            format!("This document has {size} bytes, too many to be shown here.")
        } else {
            String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned()
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

/// Sends every line of a run until it has ended; gives why not, if it came to that.
async fn log(
    context: &Context,
    run: &str,
    name: String,
    kind: RunKind,
    sender: &mpsc::Sender<Msg>,
) -> Option<String> {
    let about = RunRef {
        name: name.clone(),
        uid: run.to_owned(),
    };
    let (client, namespace) = (context.client.clone(), context.namespace.clone());
    let until = async move {
        cluster::finished(&client, &namespace, kind, &name).await;
    };
    let options = FollowOptions::until(until);
    // What the pods said that are gone comes first, as it was kept.
    if let Ok(known) = context.run(&about.name).await
        && let Some(earlier) = verbs::earlier(context, &known).await
    {
        let read = move || earlier.events();
        if let Some(trouble) = from_disk(read, run, sender).await {
            tell(run, vec![remark(trouble)], sender).await;
        }
    }
    let events = follow_run(&context.client, &context.namespace, &about, options);
    let batches = events.ready_chunks(BATCH);
    pin_mut!(batches);
    while let Some(batch) = batches.next().await {
        let items: Vec<Item> = batch.into_iter().filter_map(item).collect();
        tell(run, items, sender).await;
    }
    None
}

/// Sends the lines of a run that the ledger has; gives why not, if it came to that.
async fn remembered(
    ledger: Option<Ledger>,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String> {
    let (ledger, uid) = (ledger?, run.to_owned());
    from_disk(move || ledger.read_log(&uid), run, sender).await
}

/// Sends what a log on disk has, a batch at a time, however long it is.
async fn from_disk<I>(
    read: impl FnOnce() -> Result<I, LedgerError> + Send + 'static,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String>
where
    I: Iterator<Item = LogEvent>,
{
    let (batches, mut arrived) = mpsc::channel::<Vec<Item>>(1);
    let reading = spawn_blocking(move || {
        let mut items = read()?.filter_map(item);
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
fn item(event: LogEvent) -> Option<Item> {
    match event {
        LogEvent::Line(line) => {
            let text = match line.left_out {
                0 => line.text,
                bytes => format!("{} … {bytes} bytes of this line were left out", line.text),
            };
            Some(Item {
                at: line.at,
                source: Some(source(&line.source)),
                text,
            })
        }
        LogEvent::Notice(source, notice) => Some(remark(format!("{}: {notice}", source.tag()))),
        LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => None,
    }
}

fn remark(text: String) -> Item {
    Item {
        at: Timestamp::now(),
        source: None,
        text,
    }
}

fn source(source: &LogSource) -> Source {
    Source {
        // Every pod of a run bears its stage; one that lost the label is most likely the agent's.
        stage: source.stage.unwrap_or(Stage::Agent),
        version: source.context_version,
        attempt: source.attempt,
        container: source.container.clone(),
    }
}

/// What a branch changed, fetched first when its commit is not here.
async fn difference(root: &Path, branch: &str, base: &str, head: &str) -> Result<String, String> {
    match repository::diff(root, base, head).await {
        Ok(diff) => return Ok(diff.text),
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
    diff.map(|diff| diff.text)
        .map_err(|error| format!("{error}."))
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
fn save(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
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
        let path = directory.join(format!("flightdeck-{name}{number}.txt"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
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

    #[test]
    fn a_saved_text_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let first = save(folder.path(), "run/1 logs", "one").unwrap();
        let second = save(folder.path(), "run/1 logs", "two").unwrap();
        assert_eq!(first.file_name().unwrap(), "flightdeck-run_1_logs.txt");
        assert_eq!(fs::read_to_string(first).unwrap(), "one");
        assert_eq!(fs::read_to_string(second).unwrap(), "two");
    }

    #[test]
    fn documents_are_read_in_their_order_and_others_are_left() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("prompt.md", "p"), ("task.md", "t"), ("notes.md", "n")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let read = documents(folder.path());
        assert_eq!(
            read,
            [
                ("task.md".to_owned(), "t".to_owned()),
                ("prompt.md".to_owned(), "p".to_owned())
            ]
        );
    }
}
