//! Answers the requests of the Detail panel.

use std::{io, path::Path};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    connection::Connection,
    follow, ledger,
    log_items::send_from_disk,
    performer::{Lane, Performer},
    pull_request, save,
    send::send,
};
use crate::{
    detail_io::{DetailRequest, DetailResponse, Files},
    effect::{FollowedRun, Outcome},
    msg::Msg,
};
use flightdeck_core::{
    files::{ReadError, read_bounded},
    runs::DOCUMENTS,
};
use flightdeck_host::{
    ledger::Ledger,
    repository::{self, Diff, DiffError},
};
use flightdeck_verbs::ClusterContext;

/// Largest document shown, in bytes.
const DOCUMENT_LIMIT: u64 = 1024 * 1024;

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
                pull_request::watch(&context, run, &url, number, &sender).await;
                return;
            }
            Err(reason) => DetailResponse::PullRequest(run, Err(reason)),
        },
        DetailRequest::Save { name, export } => {
            let saved =
                spawn_blocking(move || save::to_new_file(&std::env::temp_dir(), &name, &export))
                    .await;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
