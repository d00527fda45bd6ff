//! Plays rows by drivers: one row in a namespace of its own, step by step, and says what was not as demanded.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::BoxFuture, stream};
use serde_json::{Value, json};

use super::{
    call::{Call, Outcome, Refusal, Verb},
    http::Http,
    kubectl::{self, Kubectl, Printed},
    python::Python,
    shape::{self, Variables},
    table::{DriverName, Need, Refused, Row, Step},
};

/// Bytes of `$huge`: more than a request may have.
const HUGE: usize = (3 << 20) + 1;
/// Bytes of `$large`: as much as all annotations of an object may have, so that with its key it is too much.
const LARGE: usize = 256 << 10;
/// How long something that is to come may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays calls, each in its own way.
pub(super) enum Driver {
    Http(Http),
    Kubectl(Kubectl),
    Python(Python),
}

/// One cluster as one driver meets it.
pub(super) struct Stage {
    pub name: DriverName,
    pub driver: Driver,
    /// Makes and removes what rows stand on.
    pub admin: Http,
    /// Part of the name of everything this run makes.
    pub run: String,
    pub at_once: usize,
    /// What this cluster does not allow, with the reason.
    pub lacks: Vec<(Need, String)>,
    /// The minor version of Kubernetes 1 it follows.
    pub version: u32,
}

/// What was played.
#[derive(Default)]
pub(super) struct Report {
    pub played: usize,
    /// Rows left out for a reason of their own.
    pub left_out: usize,
    pub failures: Vec<String>,
}

impl Stage {
    /// The group of the kind that rows share.
    pub(super) fn group(&self) -> String {
        format!("{}.conformance.flightdeck.dev", self.run)
    }

    fn namespace(&self, index: usize) -> String {
        format!("fdc-{}-{index}", self.run)
    }

    /// Plays every row that this driver can play.
    pub(super) async fn play(&self, rows: &[Row]) -> Report {
        let results = stream::iter(rows.iter().enumerate())
            .map(|(index, row)| self.row(index, row))
            .buffer_unordered(self.at_once)
            .collect::<Vec<_>>()
            .await;
        let mut report = Report::default();
        for result in results {
            match result {
                None => report.left_out += 1,
                Some(Ok(())) => report.played += 1,
                Some(Err(why)) => report.failures.push(why),
            }
        }
        report.failures.sort();
        report
    }

    async fn row(&self, index: usize, row: &Row) -> Option<Result<(), String>> {
        let lacking = self.lacks.iter().any(|(need, _)| row.needs.contains(need));
        if lacking || row.since > self.version || row.left_out(self.name).is_some() {
            return None;
        }
        let namespace = self.namespace(index);
        let result = async {
            self.make_namespace(&namespace).await?;
            let text = |text: String| Value::String(text);
            let mut variables = Variables::from([
                ("namespace".to_owned(), text(namespace.clone())),
                ("group".to_owned(), text(self.group())),
                ("own".to_owned(), text(format!("r{index}.{}", self.group()))),
                ("other".to_owned(), text(format!("{namespace}-other"))),
                ("huge".to_owned(), text("x".repeat(HUGE))),
                ("large".to_owned(), text("x".repeat(LARGE))),
            ]);
            for (number, step) in row.steps.iter().enumerate() {
                self.step(step, &mut variables, &namespace)
                    .await
                    .map_err(|why| format!("step {}: {why}", number + 1))?;
            }
            Ok(())
        }
        .await;
        self.remove_namespace(&namespace).await;
        Some(result.map_err(|why: String| {
            let row_name = row.name();
            format!(
                "{row_name}\n  demands: {}\n  by {:?}, {why}\n",
                row.demands, self.name
            )
        }))
    }

    async fn make_namespace(&self, name: &str) -> Result<(), String> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let step = Step {
            create: Some(namespace),
            ..Step::default()
        };
        let call = Call::of(&step, &Variables::new(), "");
        match self.admin.play(&call).await? {
            Outcome::Done(_) => super::cluster::wait_for_service_account(self, name).await,
            Outcome::Refused(refusal) => Err(format!("no namespace: {}", refusal.message)),
        }
    }

    /// Only asked for: what is left of it is swept at the end. An embedded cluster goes as a whole.
    async fn remove_namespace(&self, name: &str) {
        if self.name != DriverName::Cluster {
            return;
        }
        let step = Step {
            delete: Some(format!("namespaces/{name}")),
            ..Step::default()
        };
        drop(
            self.admin
                .play(&Call::of(&step, &Variables::new(), ""))
                .await,
        );
    }

    fn step<'a>(
        &'a self,
        step: &'a Step,
        variables: &'a mut Variables,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let tried = tokio::time::timeout(PATIENCE, self.once(step, variables, namespace));
                let tried = match tried.await {
                    Ok(tried) => tried,
                    Err(_) => Err(format!("nothing came within {} s", PATIENCE.as_secs())),
                };
                match tried {
                    Err(_) if step.eventually && Instant::now() < deadline => {
                        let pause = if self.name == DriverName::InProcess {
                            10
                        } else {
                            100
                        };
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                    Err(why) => return Err(format!("{}\n    {why}", told(step))),
                    Ok(()) => return Ok(()),
                }
            }
        })
    }

    async fn once(
        &self,
        step: &Step,
        variables: &mut Variables,
        namespace: &str,
    ) -> Result<(), String> {
        if let Some(line) = &step.kubectl {
            let Driver::Kubectl(kubectl) = &self.driver else {
                return Err("only kubectl plays this".into());
            };
            let words = kubectl::words(&shape::fill_text(line, variables));
            let stdin = step
                .stdin
                .as_ref()
                .map(|value| shape::fill(value, variables));
            let printed = kubectl.run(namespace, &words, stdin.as_ref()).await?;
            return check_printed(step, &printed, variables);
        }
        let call = Call::of(step, variables, namespace);
        if call.verb == Verb::Watch {
            return self.watch(step, &call, variables, namespace).await;
        }
        let outcome = match &self.driver {
            Driver::Http(http) => http.play(&call).await?,
            Driver::Kubectl(kubectl) => kubectl.play(&call).await?,
            Driver::Python(python) => python.play(&call).await?,
        };
        match (outcome, &step.refused) {
            (Outcome::Refused(refusal), None) => Err(format!(
                "expected: it is done\n    got: {}",
                shown(&refusal)
            )),
            (Outcome::Refused(refusal), Some(wanted)) => check_refusal(wanted, &refusal, variables),
            (Outcome::Done(answer), Some(wanted)) => Err(format!(
                "expected: {wanted:?}\n    got: {}",
                answer.body.unwrap_or_default()
            )),
            (Outcome::Done(answer), None) => {
                if let (Some(part), Some(warnings)) = (&step.warning, &answer.warnings) {
                    let part = shape::fill_text(part, variables);
                    if !warnings.contains(&part) {
                        return Err(format!("expected a warning {part:?}, got {warnings:?}"));
                    }
                }
                let Some(body) = answer.body else {
                    return Ok(());
                };
                if let Some(expected) = &step.expect {
                    let expected = shape::fill(expected, variables);
                    let wrong = shape::differences(&expected, &body);
                    if !wrong.is_empty() {
                        return Err(format!(
                            "{}\n    expected: {expected}\n    got: {body}",
                            wrong.join("\n    ")
                        ));
                    }
                }
                for (name, path) in &step.save {
                    let found = shape::at(&body, path)
                        .ok_or_else(|| format!("no {path} to keep in {body}"))?;
                    variables.insert(name.clone(), found.clone());
                }
                Ok(())
            }
        }
    }

    async fn watch(
        &self,
        step: &Step,
        call: &Call,
        variables: &mut Variables,
        namespace: &str,
    ) -> Result<(), String> {
        let wanted = step.events.as_ref().expect("a watch says which events");
        let in_any_order = usize::from(wanted.first().is_some_and(|first| first == "(has)"));
        let count = (!step.ends).then_some(wanted.len() - in_any_order);
        let watching = async {
            match &self.driver {
                Driver::Http(http) => http.watch(call, count).await,
                Driver::Python(python) => python.watch(call, count).await,
                Driver::Kubectl(_) => Err("kubectl has no words for this".into()),
            }
        };
        let mut inner = variables.clone();
        let acting = async {
            for step in &step.during {
                self.step(step, &mut inner, namespace).await?;
            }
            Ok::<_, String>(())
        };
        let (events, acted) = tokio::join!(watching, acting);
        acted?;
        let got = Value::Array(events?);
        variables.extend(inner);
        let expected = shape::fill(&Value::Array(wanted.clone()), variables);
        let wrong = shape::differences(&expected, &got);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}\n    expected: {expected}\n    got: {got}",
            wrong.join("\n    ")
        ))
    }
}

fn check_refusal(wanted: &Refused, got: &Refusal, variables: &Variables) -> Result<(), String> {
    let code = match (wanted.code, got.code) {
        (Some(wanted), Some(got)) => wanted == got,
        _ => true,
    };
    let reason = match (&wanted.reason, &got.reason) {
        (Some(wanted), Some(got)) => wanted == got,
        (Some(_), None) => got.code.is_none(),
        (None, _) => true,
    };
    let message = wanted
        .message
        .as_ref()
        .is_none_or(|part| got.message.contains(&shape::fill_text(part, variables)));
    let status = match (&wanted.status, &got.status) {
        (Some(wanted), Some(got)) => shape::differences(&shape::fill(wanted, variables), got),
        _ => Vec::new(),
    };
    if code && reason && message && status.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\n    expected: {wanted:?}\n    got: {}",
        status.join("\n    "),
        shown(got)
    ))
}

fn check_printed(step: &Step, printed: &Printed, variables: &mut Variables) -> Result<(), String> {
    let wrong = |what: String| {
        Err(format!(
            "{what}\n    exit {}\n    stdout:\n{}\n    stderr:\n{}",
            printed.exit, printed.stdout, printed.stderr
        ))
    };
    if printed.exit != step.exit.unwrap_or(0) {
        return wrong(format!("expected exit {}", step.exit.unwrap_or(0)));
    }
    for (parts, text, name) in [
        (&step.stdout, &printed.stdout, "stdout"),
        (&step.stderr, &printed.stderr, "stderr"),
    ] {
        for part in parts {
            let part = shape::fill_text(part, variables);
            // Columns are as wide as their widest cell: blanks count as one.
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !squeezed(text).contains(&squeezed(&part)) {
                return wrong(format!("expected {part:?} on {name}"));
            }
        }
    }
    for part in &step.not_stdout {
        let part = shape::fill_text(part, variables);
        if printed.stdout.contains(&part) {
            return wrong(format!("expected no {part:?} on stdout"));
        }
    }
    for name in step.save.keys() {
        variables.insert(name.clone(), printed.stdout.trim().into());
    }
    Ok(())
}

/// A refusal as kubectl would show it.
fn shown(refusal: &Refusal) -> String {
    match refusal.code {
        None => refusal.message.clone(),
        Some(code) => format!(
            "{code}, Error from server ({}): {}",
            refusal.reason.as_deref().unwrap_or_default(),
            refusal.message
        ),
    }
}

/// A step in one line, as a failure names it.
fn told(step: &Step) -> String {
    let named =
        |verb: &str, text: &Option<String>| text.as_ref().map(|text| format!("{verb}: {text}"));
    let object = |verb: &str, object: &Option<Value>| {
        object.as_ref().map(|object| {
            format!(
                "{verb}: {}/{}",
                object["kind"].as_str().unwrap_or_default(),
                object["metadata"]["name"].as_str().unwrap_or_default()
            )
        })
    };
    object("create", &step.create)
        .or_else(|| object("update", &step.update))
        .or_else(|| object("apply", &step.apply))
        .or_else(|| named("get", &step.get))
        .or_else(|| named("list", &step.list))
        .or_else(|| named("watch", &step.watch))
        .or_else(|| named("patch", &step.patch))
        .or_else(|| named("delete", &step.delete))
        .or_else(|| named("deletecollection", &step.deletecollection))
        .or_else(|| named("log", &step.log))
        .or_else(|| named("raw", &step.raw))
        .or_else(|| named("kubectl", &step.kubectl))
        .unwrap_or_default()
}
