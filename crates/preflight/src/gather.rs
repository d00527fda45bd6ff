//! Gathers the facts: repository, plan, remote, agent, cluster and active runs. The only place that does.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Facts, PreflightRequest, RemoteBranch, RemoteQuery, Sources, agent, cluster,
    facts::{ActiveRun, DocsLocation, TaskDocuments},
    request::ClusterSource,
};
use flightdeck_core::{
    runs::{RunKind, documents_directory, naming},
    tasks::{self, DocumentSet, TaskFile},
};
use flightdeck_host::repository::{
    self, RemoteAnswer, RemoteError, error_summary, git::Git, network_git,
};

/// Gathers the facts. Never fails: what cannot be determined is recorded as an error or as unknown.
pub async fn gather(request: &PreflightRequest, sources: Sources) -> Facts {
    let agent = match (&request.agent, &sources.settings) {
        (Some(agent), _) => Some(agent.clone()),
        (None, settings) => settings
            .as_ref()
            .map(|settings| settings.defaults.agent.clone()),
    };
    let agent_facts = agent.as_deref().zip(sources.settings.as_deref());
    let agent_facts = agent_facts.map(|(name, settings)| {
        let path = std::env::var_os("PATH");
        agent::facts(name, settings, sources.embedded, path.as_deref())
    });
    let user = github_user(request, &sources);
    // Boxed: the futures are large, and callers embed them in larger ones.
    let (mut facts, cluster) = tokio::join!(
        Box::pin(repository_facts(request, &sources)),
        Box::pin(cluster::facts(&sources.cluster, agent.as_deref(), user))
    );
    facts.agent = agent_facts;
    facts.active_runs = match sources.active_runs {
        None => Box::pin(active_runs(&facts, &sources.cluster, cluster.as_ref())).await,
        known => known,
    };
    facts.cluster = cluster;
    facts
}

/// Returns the GitHub account of the request, else the default one.
fn github_user<'a>(request: &'a PreflightRequest, sources: &'a Sources) -> Option<&'a str> {
    let settings = sources.settings.as_ref();
    let default = settings.and_then(|settings| settings.defaults.github_user());
    request.github_user.as_deref().or(default)
}

async fn repository_facts(request: &PreflightRequest, sources: &Sources) -> Facts {
    let mut repository = repository::read(&sources.start).await;
    let (asked, last) = match (&repository, sources.remote.clone()) {
        (Ok(known), RemoteQuery::Fresh) if known.remote.is_some() => {
            (Some(repository::query_remote(known).await), None)
        }
        (Ok(known), RemoteQuery::Background(last)) if known.remote.is_some() => {
            (repository::poll_remote(known).await, last)
        }
        (_, RemoteQuery::Fresh) => (None, None),
        (_, RemoteQuery::Background(last) | RemoteQuery::Cached(last)) => (None, last),
    };
    if let (Ok(known), Some(answer)) = (&repository, &asked)
        && moved(known, answer)
    {
        // The remote branch moved and was fetched: read the repository again.
        repository = repository::read(&sources.start).await;
    }
    let reach = if asked.is_some() {
        Reach::Remote
    } else {
        Reach::Local
    };
    let remote = asked.or(last);
    let tag = match &request.tag {
        Some(tag) => tag.clone(),
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
        remote_plan: None,
        tag,
        kind: request.kind,
        tasks: request.tasks.clone(),
        documents: None,
        embedded: sources.embedded,
        active_runs: None,
        agent: None,
        cluster: None,
        github_user: github_user(request, sources).map(str::to_owned),
        docs_location: request.docs_location(),
        service: request.service.clone(),
        target_branch: request.target_branch.clone(),
        now: Timestamp::now(),
    };
    facts.remote_plan = remote_plan(&facts).await;
    facts.documents = documents(&facts, reach).await;
    facts
}

/// Lists the active runs of the repository; `None` if the cluster cannot be queried.
async fn active_runs(
    facts: &Facts,
    source: &ClusterSource,
    cluster: Option<&cluster::ClusterFacts>,
) -> Option<Vec<ActiveRun>> {
    let ClusterSource::Live(query) = source else {
        return None;
    };
    // An unreachable cluster would only time out again.
    cluster?.state()?;
    let url = &facts.repository()?.remote.as_ref()?.clone_url;
    let label = naming::repository_label(url);
    let mut active = Vec::new();
    for kind in RunKind::ALL {
        let runs = cluster::list_runs(&query.client, &query.namespace, kind, Some(&label)).await;
        let runs = runs.ok()?;
        active.extend(runs.iter().filter(|run| !run.ended()).map(ActiveRun::from));
    }
    Some(active)
}

/// Whether the remote branch is at another commit than the one in the facts.
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

/// Whether git may contact a remote for objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Local,
    /// The remote was contacted anyway.
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

/// Parses a plan on a blocking thread: plans can be several megabytes.
async fn parse(bytes: Arc<[u8]>) -> Option<Result<TaskFile, tasks::ReadError>> {
    tokio::task::spawn_blocking(move || tasks::read(&bytes))
        .await
        .ok()
}

/// Returns the plan at the head of the remote branch, if it differs from the one on disk.
async fn remote_plan(facts: &Facts) -> Option<Result<TaskFile, tasks::ReadError>> {
    let repository = facts.repository()?;
    let RemoteBranch::Known(known) = facts.remote_branch() else {
        return None;
    };
    let blob = known.plan_blob.as_ref()?;
    if Some(blob) == repository.plan.disk_blob.as_ref() {
        return None;
    }
    let bytes = repository::blob(&repository.root, blob).await?;
    parse(bytes.into()).await
}

/// Returns the documents of the task of a code run, as the run would find them.
async fn documents(facts: &Facts, reach: Reach) -> Option<TaskDocuments> {
    let (RunKind::Code, [task]) = (facts.kind, facts.tasks.as_slice()) else {
        return None;
    };
    let folder = documents_directory(&facts.tag, task);
    if let Some(location) = &facts.docs_location {
        // Cloning is too slow to repeat for cached facts.
        return match reach {
            Reach::Local => None,
            Reach::Remote => Some(TaskDocuments {
                place: location.to_string(),
                found: Box::pin(cloned_documents(location, &folder)).await,
            }),
        };
    }
    let repository = facts.repository()?;
    let RemoteBranch::Known(known) = facts.remote_branch() else {
        return None;
    };
    let prefix = naming::directory_prefix(&repository.working_directory);
    let remote = repository.remote.as_ref()?;
    let git = if remote.partial && reach == Reach::Remote {
        network_git(&repository.root)
    } else {
        Git::new(&repository.root)
    };
    let found = list_documents(git, &known.commit, &format!("{prefix}{folder}/")).await;
    Some(TaskDocuments {
        place: remote.place(),
        found: Ok(found.ok()?),
    })
}

/// Clones the trees of a documents repository into a temporary directory and lists one task's documents.
async fn cloned_documents(location: &DocsLocation, folder: &str) -> Result<DocumentSet, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut clone = network_git(directory.path()).args([
        "clone",
        "--quiet",
        "--bare",
        "--depth=1",
        // File names are enough.
        "--filter=blob:none",
    ]);
    if let Some(branch) = &location.branch {
        clone = clone.arg(format!("--branch={branch}"));
    }
    let cloned = clone.args(["--", &location.repository, "."]).run().await;
    cloned.map_err(|error| error_summary(&error))?;
    let prefix = naming::directory_prefix(location.directory.as_deref().unwrap_or("."));
    let git = Git::new(directory.path());
    list_documents(git, "HEAD", &format!("{prefix}{folder}/"))
        .await
        .map_err(|error| error_summary(&error))
}

/// Lists the documents in `folder` (with a trailing slash) of a commit.
async fn list_documents(
    git: Git,
    commit: &str,
    folder: &str,
) -> Result<DocumentSet, repository::git::GitError> {
    let listing = git
        .args([
            "--literal-pathspecs",
            "ls-tree",
            "--name-only",
            "--full-tree",
            "-z",
            commit,
            "--",
            folder,
        ])
        .run()
        .await?;
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    Ok(DocumentSet::from_listing(
        text.split('\0')
            .filter_map(|path| path.strip_prefix(folder)),
    ))
}

#[cfg(test)]
mod tests;
