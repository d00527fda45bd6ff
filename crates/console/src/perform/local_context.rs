//! The local repository, its plan, and the pre-flight checks on them.

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet};

use super::send::send;
use crate::{
    connection::Connected,
    effect::{FixFailure, Outcome, PreflightRequest},
    msg::Msg,
    world::{Delta, Plan, PlanComparison, PlanError, Repository},
};
use flightdeck_core::{
    remote_url,
    runs::naming,
    tasks::{self, ReadError, TaskFile},
};
use flightdeck_host::{
    repository::{self, Facts, PollInterval, RemoteAnswer, RemoteError, RepositoryWatch},
    settings::Settings,
};
use flightdeck_preflight::{
    ClusterFacts, ClusterSource, Fix, RemoteQuery, Report, Sources,
    cluster::ClusterQuery,
    fix::{self, FixPlan},
};

/// Runs checks on a repository, with the cached answers of the remote and the cluster.
pub(super) struct LocalContext {
    start: PathBuf,
    settings: Arc<Settings>,
    /// The last answer of the remote, and when to poll it again.
    remote: Mutex<(Option<Result<RemoteAnswer, RemoteError>>, PollInterval)>,
    /// Set once the cluster is connected.
    cluster: OnceLock<ClusterQuery>,
    /// The last answer of the cluster.
    cluster_facts: Mutex<Option<ClusterFacts>>,
}

impl LocalContext {
    pub(super) fn new(start: PathBuf, settings: Arc<Settings>) -> Self {
        let interval = PollInterval::new(Duration::from_secs(settings.ui.remote_interval));
        Self {
            start,
            settings,
            remote: Mutex::new((None, interval)),
            cluster: OnceLock::new(),
            cluster_facts: Mutex::new(None),
        }
    }

    /// The directory in which to look for the repository.
    pub(super) fn start(&self) -> &Path {
        &self.start
    }

    /// Includes the cluster in checks from now on.
    pub(super) fn set_cluster(&self, connected: &Connected) {
        let target = &connected.target;
        // Fails if it is already set; a console never changes its cluster.
        let _ = self.cluster.set(ClusterQuery {
            client: connected.client.clone(),
            context: (!target.embedded).then(|| target.label.clone()),
            namespace: target.namespace.clone(),
            secrets: Vec::new(),
            settings: Some(Arc::clone(&self.settings)),
            disk: connected.disk.clone(),
        });
    }

    /// How long to wait before the next poll of the remote.
    fn until_next_poll(&self) -> Duration {
        let chance = RandomState::new().hash_one(());
        lock(&self.remote).1.wait(chance)
    }

    /// Returns where facts about the cluster come from: the cached ones, unless the request asks for new ones.
    fn cluster_source(&self, request: &PreflightRequest) -> ClusterSource {
        match (lock(&self.cluster_facts).clone(), self.cluster.get()) {
            (Some(last), _) if !request.contact_remote => ClusterSource::Known(last),
            (_, Some(query)) => ClusterSource::Live(query.clone()),
            (_, None) => ClusterSource::None,
        }
    }

    /// Gathers the facts of a launch and runs the checks on them.
    pub(super) async fn facts(
        &self,
        request: PreflightRequest,
    ) -> (flightdeck_preflight::Facts, Report) {
        let last = lock(&self.remote).0.clone();
        let query = if request.contact_remote {
            RemoteQuery::Fresh
        } else {
            RemoteQuery::Cached(last)
        };
        self.gather(request, query).await
    }

    async fn gather(
        &self,
        request: PreflightRequest,
        query: RemoteQuery,
    ) -> (flightdeck_preflight::Facts, Report) {
        let before = match &query {
            RemoteQuery::Background(last) | RemoteQuery::Cached(last) => last.clone(),
            RemoteQuery::Fresh => None,
        };
        let quiet = matches!(query, RemoteQuery::Background(_));
        let cluster = self.cluster_source(&request);
        let sources = Sources {
            start: self.start.clone(),
            settings: Some(Arc::clone(&self.settings)),
            remote: query,
            cluster,
            embedded: request.embedded,
            active_runs: Some(request.active),
        };
        let facts = flightdeck_preflight::gather(&request.launch, sources).await;
        if let Some(cluster) = &facts.cluster {
            lock(&self.cluster_facts).replace(cluster.clone());
        }
        // A poll that failed again counts as new, so that the poll interval grows.
        let failed_again = quiet && matches!(facts.remote, Some(Err(_)));
        let new = failed_again || facts.remote != before;
        if let Some(answer) = facts.remote.clone().filter(|_| new) {
            let mut remote = lock(&self.remote);
            remote.1.record(&answer);
            remote.0 = Some(answer);
        }
        let report = Report::of(&facts);
        (facts, report)
    }

    /// Runs the checks. Returns the results as deltas.
    pub(super) async fn check(&self, request: PreflightRequest) -> Vec<Delta> {
        Self::deltas(Box::pin(self.facts(request)).await).await
    }

    /// Runs the checks after a background poll of the remote, unless the poll would prompt. Returns the results as deltas.
    pub(super) async fn poll_remote(&self, request: PreflightRequest) -> Vec<Delta> {
        let (last, interval) = lock(&self.remote).clone();
        let query = if interval.is_enabled() {
            RemoteQuery::Background(last)
        } else {
            RemoteQuery::Cached(last)
        };
        Self::deltas(Box::pin(self.gather(request, query)).await).await
    }

    async fn deltas((facts, report): (flightdeck_preflight::Facts, Report)) -> Vec<Delta> {
        let compared = compared(&facts).map(Arc::new);
        let settings = facts.cluster.as_ref();
        let settings = settings.and_then(|cluster| cluster.settings.clone());
        let (as_of, offline) = (facts.as_of(), matches!(facts.remote, Some(Err(_))));
        let (repository, plan) = match facts.repository {
            Ok(repository) => {
                let shown = Repository {
                    as_of,
                    offline,
                    ..summary(&repository)
                };
                let (file, tag) = (facts.plan, facts.tag);
                let plan = tokio::task::spawn_blocking(move || plan(&repository, file, tag)).await;
                (
                    Ok(shown),
                    plan.unwrap_or_else(|error| Err(error.to_string().into())),
                )
            }
            Err(error) => (Err(error.to_string()), Err(error.to_string().into())),
        };
        vec![
            Delta::Plan(plan),
            Delta::Repository(repository),
            Delta::PlanComparison(compared),
            Delta::Checks(report.checks),
            Delta::Settings(settings),
        ]
    }

    /// Works out the commands of a fix.
    pub(super) async fn plan_fix(
        &self,
        request: PreflightRequest,
        fix: Fix,
    ) -> Result<FixPlan, FixFailure> {
        let (facts, _) = Box::pin(self.facts(request)).await;
        let plan = Box::pin(fix::plan(&facts, fix)).await;
        plan.map_err(|error| FixFailure {
            offers: error.offers(),
            why: error.to_string(),
        })
    }
}

/// Sends [`Outcome::LocalChanged`] whenever the repository or the plan changes on disk.
pub(super) fn spawn_watch(
    tasks: &mut JoinSet<()>,
    local: &Arc<LocalContext>,
    sender: &mpsc::Sender<Msg>,
) {
    let (local, sender) = (local.clone(), sender.clone());
    tasks.spawn(async move {
        let Ok(facts) = repository::read(&local.start).await else {
            return;
        };
        let mut watch = match RepositoryWatch::new(&facts) {
            Ok(watch) => watch,
            Err(error) => {
                let sentence = format!("cannot watch the repository for changes: {error}");
                send(&sender, Msg::Done(Outcome::Failed(sentence))).await;
                return;
            }
        };
        // The repository may have changed after the first check and before the watch started.
        send(&sender, Msg::Done(Outcome::LocalChanged)).await;
        loop {
            watch.changed().await;
            send(&sender, Msg::Done(Outcome::LocalChanged)).await;
            if let Ok(facts) = repository::read(&local.start).await {
                // On failure, the existing watches remain.
                let _ = watch.follow(&facts);
            }
        }
    });
}

/// Sends [`Outcome::RemotePollDue`] whenever a background poll of the remote is due.
pub(super) fn spawn_poll_timer(
    tasks: &mut JoinSet<()>,
    local: &Arc<LocalContext>,
    sender: &mpsc::Sender<Msg>,
) {
    let (local, sender) = (local.clone(), sender.clone());
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(local.until_next_poll()).await;
            send(&sender, Msg::Done(Outcome::RemotePollDue)).await;
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Summarizes the repository for the header.
fn summary(facts: &Facts) -> Repository {
    let remote = facts.remote.as_ref();
    let known = remote.and_then(|remote| remote.known.as_ref());
    let folder = facts.root.file_name().unwrap_or_default();
    let pushed = known.zip(facts.plan.disk_blob.as_ref());
    Repository {
        root: facts.root.clone(),
        name: remote.map_or_else(
            || folder.to_string_lossy().into_owned(),
            |remote| remote_url::short_name(&remote.clone_url),
        ),
        url: remote.map(|remote| remote.clone_url.clone()),
        branch: facts.branch().map(str::to_owned),
        ahead: known.map_or(0, |known| known.ahead),
        behind: known.map_or(0, |known| known.behind),
        changed: facts.changes.total(),
        remote: remote.map_or_else(String::new, |remote| remote.name.clone()),
        tasks_pushed: pushed.map(|(known, disk)| known.plan_blob.as_ref() == Some(disk)),
        label: remote.map(|remote| naming::repository_label(&remote.clone_url)),
        ..Repository::default()
    }
}

/// Compares the plan on disk with the remote's, task by task.
fn compared(facts: &flightdeck_preflight::Facts) -> Option<PlanComparison> {
    let theirs = facts.remote_plan.as_ref()?.as_ref().ok()?;
    let mine = facts.plan.as_ref()?.as_ref().ok()?;
    let none = tasks::Tag::default();
    let tag = |file: &TaskFile| file.tag(&facts.tag).unwrap_or(&none).clone();
    Some(PlanComparison {
        remote_branch: facts.repository.as_ref().ok()?.remote.as_ref()?.place(),
        comparison: tasks::compare(&tag(theirs), &tag(mine)),
    })
}

/// Indexes the plan, with its documents and complexity report from disk.
fn plan(
    repository: &Facts,
    file: Option<Result<TaskFile, ReadError>>,
    tag: String,
) -> Result<Arc<Plan>, PlanError> {
    if let Some(why) = &repository.plan.unreadable {
        return Err(why.as_str().into());
    }
    let (Some(path), Some(file)) = (&repository.plan.path, file) else {
        return Err(format!(
            "No .taskmaster/tasks/tasks.json in {}. Create it with Task Master: task-master init, then task-master parse-prd.",
            repository.project.display(),
        )
        .into());
    };
    let name = repository.relative(path);
    let name = name.unwrap_or_else(|| path.display().to_string());
    let file = file.map_err(|error| PlanError {
        message: format!("{name}: {error}"),
        position: match error {
            ReadError::NotJson { line, column, .. } => Some((path.clone(), line, column)),
            _ => Some((path.clone(), 1, 1)),
        },
    })?;
    let documents = tasks::documents(&repository.project, &tag);
    let report = tasks::complexity(&repository.project, &tag);
    let plan = Plan::new(path.clone(), file, tag, documents);
    Ok(Arc::new(plan.with_complexity(report)))
}
