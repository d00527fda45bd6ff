//! What lies on the person's desk: the repository, its plan, and what pre-flight makes of them.

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::send;
use crate::{
    Connected,
    effect::{FixFailure, Inquiry, Outcome},
    msg::Msg,
    world::{Compared, Delta, Plan, PlanError, Repository},
};
use flightdeck_core::{
    remote_url,
    runs::naming,
    tasks::{self, ReadError, TaskFile},
};
use flightdeck_host::{
    repository::{
        self, Facts, RemoteAnswer, RemoteError, Rhythm, Watch,
        merge::{self, MergePlan},
    },
    settings::Settings,
};
use flightdeck_preflight::{
    Ask, ClusterFacts, Fix, Report, Request, agent,
    cluster::{self, ClusterRequest, secrets_wanted},
    fix::{self, FixSheet, Progress},
};

/// Where to look, and what the remote said last.
pub(super) struct Desk {
    start: PathBuf,
    settings: Arc<Settings>,
    /// What the remote said last, and when it is to be looked at again.
    answer: Mutex<(Option<Result<RemoteAnswer, RemoteError>>, Rhythm)>,
    /// The cluster, as soon as there is one.
    cluster: OnceLock<ClusterRequest>,
    /// What it said last.
    said: Mutex<Option<ClusterFacts>>,
}

impl Desk {
    pub(super) fn start(&self) -> &Path {
        &self.start
    }

    pub(super) fn new(start: PathBuf, settings: Arc<Settings>) -> Self {
        let rhythm = Rhythm::new(Duration::from_secs(settings.ui.remote_interval));
        Self {
            start,
            settings,
            answer: Mutex::new((None, rhythm)),
            cluster: OnceLock::new(),
            said: Mutex::new(None),
        }
    }

    /// From now on the cluster is asked too.
    pub(super) fn found(&self, connected: &Connected) {
        let target = &connected.target;
        // The first one stays: a console has one cluster for life.
        let _ = self.cluster.set(ClusterRequest {
            client: connected.client.clone(),
            context: (!target.embedded).then(|| target.label.clone()),
            namespace: target.namespace.clone(),
            secrets: Vec::new(),
            settings: Some(Arc::clone(&self.settings)),
            disk: connected.disk.clone(),
        });
    }

    /// How long to wait before the remote is looked at again.
    pub(super) fn until_next_look(&self) -> Duration {
        let chance = RandomState::new().hash_one(());
        locked(&self.answer).1.wait(chance)
    }

    /// What the cluster says; what it said last unless it is to be asked.
    async fn cluster(&self, inquiry: &Inquiry) -> Option<ClusterFacts> {
        let last = locked(&self.said).clone();
        if last.is_some() && !inquiry.ask {
            return last;
        }
        let mut request = self.cluster.get()?.clone();
        if request.context.is_some() {
            let user = inquiry.github_user.as_deref();
            request.secrets = secrets_wanted(&self.settings, &inquiry.agent, user);
        }
        let said = cluster::ask(request).await;
        locked(&self.said).replace(said.clone());
        Some(said)
    }

    /// What is known of a launch as it is chosen so far, and what the checks say to it.
    pub(super) async fn facts(&self, inquiry: Inquiry) -> (flightdeck_preflight::Facts, Report) {
        let last = locked(&self.answer).0.clone();
        let ask = if inquiry.ask {
            Ask::Now
        } else {
            Ask::Last(last)
        };
        self.gather(inquiry, ask).await
    }

    async fn gather(&self, inquiry: Inquiry, ask: Ask) -> (flightdeck_preflight::Facts, Report) {
        let path = std::env::var_os("PATH");
        let agent = agent::facts(
            &inquiry.agent,
            &self.settings,
            inquiry.embedded,
            path.as_deref(),
        );
        let before = match &ask {
            Ask::Quietly(last) | Ask::Last(last) => last.clone(),
            Ask::Now => None,
        };
        let quiet = matches!(ask, Ask::Quietly(_));
        let cluster = self.cluster(&inquiry);
        let gathered = flightdeck_preflight::gather(Request {
            tasks: inquiry.tasks.clone(),
            tag: inquiry.tag.clone(),
            ask,
            embedded: inquiry.embedded,
            active_runs: Some(inquiry.active.clone()),
            agent: Some(agent),
            github_user: inquiry.github_user.clone(),
            service: inquiry.service.clone(),
            ..Request::new(self.start.clone(), inquiry.kind)
        });
        let (mut facts, cluster) = tokio::join!(gathered, cluster);
        facts.cluster = cluster;
        // An error that is the same as before is news nevertheless, where the remote was looked at again.
        let again = quiet && matches!(facts.remote, Some(Err(_)));
        let news = again || facts.remote != before;
        if let Some(heard) = facts.remote.clone().filter(|_| news) {
            let mut answer = locked(&self.answer);
            answer.1.heard(&heard);
            answer.0 = Some(heard);
        }
        let report = Report::of(&facts);
        (facts, report)
    }

    /// The same as changes of the world.
    pub(super) async fn inspect(&self, inquiry: Inquiry) -> Vec<Delta> {
        Self::deltas(Box::pin(self.facts(inquiry)).await).await
    }

    /// The same after a quiet look at the remote, unless it would need a person.
    pub(super) async fn glance(&self, inquiry: Inquiry) -> Vec<Delta> {
        let (last, rhythm) = locked(&self.answer).clone();
        let ask = if rhythm.looks() {
            Ask::Quietly(last)
        } else {
            Ask::Last(last)
        };
        Self::deltas(Box::pin(self.gather(inquiry, ask)).await).await
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
                    ..shown(&repository)
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
            Delta::Compared(compared),
            Delta::Checks(report.checks),
            Delta::Settings(settings),
        ]
    }

    /// What a fix would do now.
    pub(super) async fn plan_fix(
        &self,
        inquiry: Inquiry,
        fix: Fix,
    ) -> Result<FixSheet, FixFailure> {
        let (facts, _) = Box::pin(self.facts(inquiry)).await;
        let sheet = Box::pin(fix::plan(&facts, fix)).await;
        sheet.map_err(|error| FixFailure {
            offers: error.offers(),
            why: error.to_string(),
        })
    }
}

/// Does what a sheet says, telling what is heard of it.
pub(super) async fn apply_fix(
    sheet: &FixSheet,
    cancel: &CancellationToken,
    sender: &mpsc::Sender<Msg>,
) -> Result<(), FixFailure> {
    // A channel that is full loses a line on screen and nothing else.
    let progress = |heard: Progress| {
        let _ = sender.try_send(Msg::Done(Outcome::FixSaid(heard)));
    };
    let applied = Box::pin(fix::apply(sheet, cancel, progress)).await;
    applied.map(drop).map_err(|unfinished| FixFailure {
        offers: unfinished.why.offers(),
        why: unfinished.to_string(),
    })
}

/// What brings the desk up to date again.
impl Desk {
    /// Tells whenever the repository or the plan changes on disk, as long as it is awaited.
    pub(super) async fn watch(&self, sender: &mpsc::Sender<Msg>) {
        let Ok(facts) = repository::read(&self.start).await else {
            return;
        };
        let mut watch = match Watch::new(&facts) {
            Ok(watch) => watch,
            Err(error) => {
                let sentence = format!("changes on disk are not seen by themselves: {error}");
                send(sender, Msg::Done(Outcome::Failed(sentence))).await;
                return;
            }
        };
        // What changed after the first look and before the watch stood.
        send(sender, Msg::Done(Outcome::DeskChanged)).await;
        loop {
            watch.changed().await;
            send(sender, Msg::Done(Outcome::DeskChanged)).await;
            if let Ok(facts) = repository::read(&self.start).await {
                // Where nothing more can be watched, what is watched already goes on being watched.
                let _ = watch.follow(&facts);
            }
        }
    }

    /// What bringing a branch home would change; fetches it.
    pub(super) async fn plan_merge(&self, branch: &str) -> Result<MergePlan, String> {
        let facts = self.repository().await?;
        let plan = merge::plan(&facts, branch).await;
        plan.map_err(|error| error.to_string())
    }

    /// Brings it home.
    pub(super) async fn merge(&self, plan: &MergePlan) -> Result<(), String> {
        let facts = self.repository().await?;
        let merged = merge::apply(&facts, plan).await;
        merged.map_err(|error| error.to_string())
    }

    async fn repository(&self) -> Result<Facts, String> {
        let facts = repository::read(&self.start).await;
        facts.map_err(|error| error.to_string())
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(facts: &Facts) -> Repository {
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

/// The plan on disk against the remote's, task by task, where the two differ.
fn compared(facts: &flightdeck_preflight::Facts) -> Option<Compared> {
    let theirs = facts.their_plan.as_ref()?.as_ref().ok()?;
    let mine = facts.plan.as_ref()?.as_ref().ok()?;
    let none = tasks::Tag::default();
    let tag = |file: &TaskFile| file.tag(&facts.tag).unwrap_or(&none).clone();
    Some(Compared {
        place: facts.repository.as_ref().ok()?.remote.as_ref()?.place(),
        comparison: tasks::compare(&tag(theirs), &tag(mine)),
    })
}

/// The plan with its documents. Reads their folder.
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
            "No .taskmaster/tasks/tasks.json in {}. Task Master makes one: task-master init, then task-master parse-prd.",
            repository.project.display(),
        )
        .into());
    };
    let name = repository.relative(path);
    let name = name.unwrap_or_else(|| path.display().to_string());
    let file = file.map_err(|error| PlanError {
        message: format!("{name}: {error}"),
        place: match error {
            ReadError::NotJson { line, column, .. } => Some((path.clone(), line, column)),
            _ => Some((path.clone(), 1, 1)),
        },
    })?;
    let documents = tasks::documents(&repository.project, &tag);
    let report = tasks::complexity(&repository.project, &tag);
    let plan = Plan::new(path.clone(), file, tag, documents);
    Ok(Arc::new(plan.with_complexity(report)))
}
