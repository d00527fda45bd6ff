//! Gathers the facts: the repository, the plan, and the remote when it is to be asked.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::{
    ClusterFacts, Facts, There,
    facts::{ActiveRun, AgentFacts},
};
use flightdeck_core::{
    runs::{RunKind, documents_directory, naming},
    tasks::{self, DocumentSet, TaskFile},
};
use flightdeck_host::repository::{self, RemoteAnswer, RemoteError, git::Git, network_git};

/// Whether to ask the remote.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Asks it: before every launch.
    Now,
    /// Asks it so that nothing prompts, unless the person's git is at work; else what it said last holds.
    Quietly(Option<Result<RemoteAnswer, RemoteError>>),
    /// Does not: what it said last, and what was last fetched, is what is known.
    Last(Option<Result<RemoteAnswer, RemoteError>>),
}

/// What to gather facts for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory to start from.
    pub start: PathBuf,
    pub kind: RunKind,
    /// Ids of the chosen tasks; may be empty.
    pub tasks: Vec<String>,
    /// `None` for the tag in use.
    pub tag: Option<String>,
    pub ask: Ask,
    pub embedded: bool,
    pub active_runs: Option<Vec<ActiveRun>>,
    pub agent: Option<AgentFacts>,
    pub cluster: Option<ClusterFacts>,
    pub github_user: Option<String>,
    pub docs_repository: Option<String>,
    pub service: Option<String>,
}

impl Request {
    /// A request that asks nobody and knows nothing of cluster and agent.
    #[must_use]
    pub const fn new(start: PathBuf, kind: RunKind) -> Self {
        Self {
            start,
            kind,
            tasks: Vec::new(),
            tag: None,
            ask: Ask::Last(None),
            embedded: true,
            active_runs: None,
            agent: None,
            cluster: None,
            github_user: None,
            docs_repository: None,
            service: None,
        }
    }
}

/// Gathers the facts. What cannot be found out is in them as an error or as unknown.
pub async fn gather(request: Request) -> Facts {
    let mut repository = repository::read(&request.start).await;
    let (asked, last) = match (&repository, request.ask) {
        (Ok(known), Ask::Now) if known.remote.is_some() => {
            (Some(repository::query_remote(known).await), None)
        }
        (Ok(known), Ask::Quietly(last)) if known.remote.is_some() => {
            (repository::poll_remote(known).await, last)
        }
        (_, Ask::Now) => (None, None),
        (_, Ask::Quietly(last) | Ask::Last(last)) => (None, last),
    };
    if let (Ok(known), Some(answer)) = (&repository, &asked)
        && moved(known, answer)
    {
        repository = repository::read(&request.start).await;
    }
    let reach = if asked.is_some() {
        Reach::Remote
    } else {
        Reach::Here
    };
    let remote = asked.or(last);
    let tag = match request.tag {
        Some(tag) => tag,
        None => current_tag(repository.as_ref().ok()).await,
    };
    let plan = match repository
        .as_ref()
        .ok()
        .and_then(|facts| facts.plan.bytes.clone())
    {
        Some(bytes) => parse(bytes).await,
        None => None,
    };
    let mut facts = Facts {
        repository,
        remote,
        plan,
        their_plan: None,
        tag,
        kind: request.kind,
        tasks: request.tasks,
        documents: None,
        embedded: request.embedded,
        active_runs: request.active_runs,
        agent: request.agent,
        cluster: request.cluster,
        github_user: request.github_user,
        docs_repository: request.docs_repository,
        service: request.service,
        now: Timestamp::now(),
    };
    facts.their_plan = their_plan(&facts).await;
    facts.documents = documents(&facts, reach).await;
    facts
}

/// Whether the remote's branch is not at the commit the facts know.
fn moved(facts: &repository::Facts, answer: &Result<RemoteAnswer, RemoteError>) -> bool {
    let Ok(RemoteAnswer {
        commit: Some(commit),
        ..
    }) = answer
    else {
        return false;
    };
    let known = facts
        .remote
        .as_ref()
        .and_then(|remote| remote.known.as_ref());
    known.is_none_or(|known| known.commit != *commit || known.unread)
}

/// How far one may go for an object that a partial clone lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Here,
    /// The remote was asked anyway.
    Remote,
}

async fn current_tag(facts: Option<&repository::Facts>) -> String {
    let read = facts.map(|facts| {
        let project = facts.project.clone();
        tokio::task::spawn_blocking(move || tasks::current_tag_of_project(&project))
    });
    let tag = match read {
        Some(read) => read.await.ok(),
        None => None,
    };
    tag.unwrap_or_else(|| tasks::DEFAULT_TAG.to_owned())
}

/// Parses a plan off the async threads: some are of several megabytes.
async fn parse(bytes: Arc<[u8]>) -> Option<Result<TaskFile, tasks::ReadError>> {
    tokio::task::spawn_blocking(move || tasks::read(&bytes))
        .await
        .ok()
}

/// The plan at the remote's branch head, where it is not the one on disk.
async fn their_plan(facts: &Facts) -> Option<Result<TaskFile, tasks::ReadError>> {
    let repository = facts.repository()?;
    let There::Known(known) = facts.there() else {
        return None;
    };
    let blob = known.plan_blob.as_ref()?;
    if Some(blob) == repository.plan.disk_blob.as_ref() {
        return None;
    }
    let bytes = repository::blob(&repository.root, blob).await?;
    parse(bytes.into()).await
}

/// The documents of the task of a code run, as the remote's branch has them.
async fn documents(facts: &Facts, reach: Reach) -> Option<DocumentSet> {
    let repository = facts.repository()?;
    let (true, [task], There::Known(known)) = (
        facts.kind.needs_documents(),
        facts.tasks.as_slice(),
        facts.there(),
    ) else {
        return None;
    };
    let prefix = naming::directory_prefix(&repository.working_directory);
    let folder = format!("{prefix}{}/", documents_directory(&facts.tag, task));
    let partial = repository.remote.as_ref()?.partial;
    let git = if partial && reach == Reach::Remote {
        network_git(&repository.root)
    } else {
        Git::new(&repository.root)
    };
    let listing = git
        .args([
            "--literal-pathspecs",
            "ls-tree",
            "--name-only",
            "--full-tree",
            "-z",
            &known.commit,
            "--",
            &folder,
        ])
        .run()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    Some(DocumentSet::from_listing(
        text.split('\0')
            .filter_map(|path| path.strip_prefix(&folder)),
    ))
}

#[cfg(test)]
mod tests;
