//! `demo --headless`: launches a docs run of all tasks, waits for it, and prints a summary. Leaves no process behind.

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use super::Project;
use crate::{
    cli::{Format, Session, output},
    daemon::{Engine, Options},
};
use flightdeck_core::{
    resources::Documents,
    runs::{Run, RunKind},
    text,
};
use flightdeck_preflight::{PreflightRequest, RemoteQuery, Report, Sources};
use flightdeck_verbs::{
    ClusterContext, Launch, LaunchSource, Render, Table, VerbError, View, Wait, exit_code,
};
use kube_embedded::endpoint::Lock;

/// The demo without a terminal.
pub struct Headless {
    pub project: Project,
    pub session: Session,
    pub format: Format,
}

/// Result of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    run: String,
    phase: String,
    branch: Option<String>,
    commit: Option<String>,
    documents: Count,
    pull_request_url: Option<String>,
    /// From launch to end, rounded to hundredths.
    seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Count {
    expected: i32,
    written: i32,
}

impl Render for Summary {
    fn names(&self) -> Vec<String> {
        vec![self.run.clone()]
    }

    fn view(&self) -> View {
        let or = |text: &Option<String>, other: &str| text.as_deref().unwrap_or(other).to_owned();
        let row = vec![
            self.run.clone(),
            self.phase.clone(),
            format!("{}/{}", self.documents.written, self.documents.expected),
            or(&self.branch, "-"),
            or(&self.pull_request_url, "none: not a known Git host"),
            format!("{:.1} s", self.seconds),
        ];
        let headings = [
            "RUN",
            "PHASE",
            "DOCUMENTS",
            "BRANCH",
            "PULL REQUEST",
            "TIME",
        ];
        View::Table(Table::new(&headings, vec![row]))
    }
}

impl Headless {
    /// Returns 0 if the run succeeded, else 1 with the reason on stderr.
    pub async fn run(mut self) -> anyhow::Result<u8> {
        output::notice(&format!(
            "Demo directory: {}",
            self.project.directory.display()
        ));
        // A console open on this demo already has a server, and a directory can have only one.
        let Some(lock) = Lock::acquire(&self.session.paths.embedded)? else {
            let context = self.session.context().await?;
            return self.document(&context).await;
        };
        let settings = Arc::make_mut(&mut self.session.settings);
        if let Some(agent) = settings.agents.get_mut(&settings.defaults.agent) {
            // The pace is for a viewer.
            agent
                .env
                .insert("TEMPLATE_AGENT_PACE_MS".into(), "0".into());
        }
        let session = &self.session;
        let engine = Engine::start(Options::of_this_process(
            &session.paths,
            &session.settings,
            &session.program,
        ))
        .await?;
        let context = session.context_of(engine.client(), engine.namespace())?;
        let ended = self.document(&context).await;
        engine.stop_all().await;
        drop(lock);
        ended
    }

    async fn document(&self, context: &ClusterContext) -> anyhow::Result<u8> {
        let started = Instant::now();
        let request = PreflightRequest::new(RunKind::Docs);
        let sources = Sources::repository(self.project.repository.clone(), RemoteQuery::Fresh);
        let facts = flightdeck_preflight::gather(&request, sources).await;
        let source = LaunchSource::new(&facts, &Report::of(&facts))?;
        // A repeated demo does the work again instead of skipping existing documents.
        let launch = Launch {
            all: true,
            overwrite: true,
            ..Launch::new(RunKind::Docs)
        };
        let run = launch.create(context, &source).await?;
        let name = run.name().to_owned();
        output::notice(&format!(
            "Launched {name}: {} on {}",
            text::count(run.tasks.len(), "task"),
            source.branch
        ));
        let mut reported = None;
        let wait = Wait {
            name: name.clone(),
            timeout: None,
        };
        let waiting = wait.run(context, |run| {
            let stage = run.stage();
            if stage != reported {
                reported = stage;
                output::notice(&format!(
                    "{name}: {}",
                    stage.map_or("waiting", |stage| stage.as_str())
                ));
            }
        });
        let ended = tokio::select! {
            ended = waiting => ended?,
            _ = tokio::signal::ctrl_c() => return Err(VerbError::Failed(format!("interrupted; {} was stopped", run.name())).into()),
        };
        self.summarise(&ended, started)
    }

    fn summarise(&self, run: &Run, started: Instant) -> anyhow::Result<u8> {
        let status = &run.status;
        let phase = run.phase();
        let Documents {
            expected, written, ..
        } = status.documents.clone().unwrap_or_default();
        let summary = Summary {
            run: run.name().to_owned(),
            phase: phase.as_str().to_owned(),
            branch: status.commit.is_some().then(|| run.branch()),
            commit: status.commit.clone(),
            documents: Count { expected, written },
            pull_request_url: status.pull_request_url.clone(),
            seconds: (started.elapsed().as_secs_f64() * 100.0).round() / 100.0,
        };
        output::render(&summary, self.format)?;
        if exit_code(&phase) != 0 {
            let reason = status
                .message
                .as_deref()
                .or(status.reason.as_deref())
                .unwrap_or("unknown reason");
            output::notice(&format!(
                "{} {}: {}",
                run.name(),
                phase.as_str().to_lowercase(),
                text::sanitize(reason)
            ));
            return Ok(1);
        }
        Ok(0)
    }
}
