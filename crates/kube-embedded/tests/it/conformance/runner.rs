//! Runs rows with a driver, each in its own namespace, and reports differences from the expected results.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::BoxFuture, stream};
use serde_json::{Value, json};

use super::{
    call::{Call, Outcome, Refusal, Verb},
    http::Http,
    kubectl::{self, Kubectl, Output},
    python::Python,
    shape::{self, Variables},
    table::{DriverName, Need, Refused, Row, Step},
};
use crate::support::TIMEOUT;

/// Bytes of `$huge`: over the limit of a request.
const HUGE: usize = (3 << 20) + 1;
/// Bytes of `$large`: the limit of all annotations of an object, so that a key exceeds it.
const LARGE: usize = 256 << 10;
/// Prefix of the namespaces of rows.
pub(super) const NAMESPACE_PREFIX: &str = "conformance";

/// How calls are sent.
pub(super) enum Driver {
    Http(Http),
    Kubectl(Kubectl),
    Python(Python),
}

/// Runs rows on one cluster with one driver.
pub(super) struct Runner {
    pub name: DriverName,
    pub driver: Driver,
    /// Creates and deletes namespaces and shared definitions.
    pub admin: Http,
    /// Part of the name of everything that this run creates.
    pub run: String,
    /// Maximum number of rows that run at the same time.
    pub parallel: usize,
    /// Needs that the cluster does not satisfy, with the reason.
    pub missing: Vec<(Need, String)>,
    /// The minor version of Kubernetes 1.
    pub version: u32,
}

/// The results of the rows.
#[derive(Default)]
pub(super) struct Report {
    pub passed: usize,
    /// Rows that do not apply to the driver or the cluster.
    pub skipped: usize,
    pub failures: Vec<String>,
}

impl Runner {
    /// Returns the group of the shared kind.
    pub(super) fn group(&self) -> String {
        format!("{}.conformance.example.org", self.run)
    }

    fn namespace(&self, index: usize) -> String {
        format!("{NAMESPACE_PREFIX}-{}-{index}", self.run)
    }

    /// Runs every row that applies to the driver and the cluster.
    pub(super) async fn run(&self, rows: &[Row]) -> Report {
        let results = stream::iter(rows.iter().enumerate())
            .map(|(index, row)| self.row(index, row))
            .buffer_unordered(self.parallel)
            .collect::<Vec<_>>()
            .await;
        let mut report = Report::default();
        for result in results {
            match result {
                None => report.skipped += 1,
                Some(Ok(())) => report.passed += 1,
                Some(Err(why)) => report.failures.push(why),
            }
        }
        report.failures.sort();
        report
    }

    async fn row(&self, index: usize, row: &Row) -> Option<Result<(), String>> {
        let lacking = self
            .missing
            .iter()
            .any(|(need, _)| row.needs.contains(need));
        if lacking || row.since > self.version || row.skip_reason(self.name).is_some() {
            return None;
        }
        let namespace = self.namespace(index);
        let result = async {
            self.create_namespace(&namespace).await?;
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
        self.delete_namespace(&namespace).await;
        Some(result.map_err(|why: String| {
            let row_name = row.name();
            format!(
                "{row_name}\n  demands: {}\n  with {:?}, {why}\n",
                row.demands, self.name
            )
        }))
    }

    async fn create_namespace(&self, name: &str) -> Result<(), String> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let step = Step {
            create: Some(namespace),
            ..Step::default()
        };
        let call = Call::from_step(&step, &Variables::new(), "");
        match self.admin.send_call(&call).await? {
            Outcome::Done(_) => super::cluster::wait_for_service_account(self, name).await,
            Outcome::Refused(refusal) => {
                Err(format!("cannot create the namespace: {}", refusal.message))
            }
        }
    }

    /// Requests the deletion; the end of the run waits for it. An embedded cluster is removed as a whole.
    async fn delete_namespace(&self, name: &str) {
        if self.name != DriverName::Cluster {
            return;
        }
        let step = Step {
            delete: Some(format!("namespaces/{name}")),
            ..Step::default()
        };
        drop(
            self.admin
                .send_call(&Call::from_step(&step, &Variables::new(), ""))
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
            let deadline = Instant::now() + TIMEOUT;
            loop {
                let attempt = tokio::time::timeout(TIMEOUT, self.once(step, variables, namespace));
                let result = match attempt.await {
                    Ok(result) => result,
                    Err(_) => Err(format!("timed out after {} s", TIMEOUT.as_secs())),
                };
                match result {
                    Err(_) if step.eventually && Instant::now() < deadline => {
                        let interval = if self.name == DriverName::InProcess {
                            10
                        } else {
                            100
                        };
                        tokio::time::sleep(Duration::from_millis(interval)).await;
                    }
                    Err(why) => return Err(format!("{}\n    {why}", summary(step))),
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
                return Err("only kubectl runs this step".into());
            };
            let words = kubectl::words(&shape::fill_text(line, variables));
            let stdin = step
                .stdin
                .as_ref()
                .map(|value| shape::fill(value, variables));
            let output = kubectl.run(namespace, &words, stdin.as_ref()).await?;
            return check_output(step, &output, variables);
        }
        let call = Call::from_step(step, variables, namespace);
        if call.verb == Verb::Watch {
            return self.watch(step, &call, variables, namespace).await;
        }
        let outcome = match &self.driver {
            Driver::Http(http) => http.send_call(&call).await?,
            Driver::Kubectl(kubectl) => kubectl.send_call(&call).await?,
            Driver::Python(python) => python.send_call(&call).await?,
        };
        match (outcome, &step.refused) {
            (Outcome::Refused(refusal), None) => {
                Err(format!("expected: success\n    got: {}", shown(&refusal)))
            }
            (Outcome::Refused(refusal), Some(wanted)) => check_refusal(wanted, &refusal, variables),
            (Outcome::Done(response), Some(wanted)) => Err(format!(
                "expected: {wanted:?}\n    got: {}",
                response.body.unwrap_or_default()
            )),
            (Outcome::Done(response), None) => {
                if let (Some(part), Some(warnings)) = (&step.warning, &response.warnings) {
                    let part = shape::fill_text(part, variables);
                    if !warnings.contains(&part) {
                        return Err(format!("expected a warning {part:?}, got {warnings:?}"));
                    }
                }
                let Some(body) = response.body else {
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
                        .ok_or_else(|| format!("no {path} to save in {body}"))?;
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
        let wanted = step.events.as_ref().expect("a watch needs events");
        let in_any_order = usize::from(wanted.first().is_some_and(|first| first == "(has)"));
        let count = (!step.ends).then_some(wanted.len() - in_any_order);
        let watching = async {
            match &self.driver {
                Driver::Http(http) => http.watch(call, count).await,
                Driver::Python(python) => python.watch(call, count).await,
                Driver::Kubectl(_) => Err("kubectl has no command for this".into()),
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

fn check_output(step: &Step, output: &Output, variables: &mut Variables) -> Result<(), String> {
    let wrong = |what: String| {
        Err(format!(
            "{what}\n    exit {}\n    stdout:\n{}\n    stderr:\n{}",
            output.exit, output.stdout, output.stderr
        ))
    };
    if output.exit != step.exit.unwrap_or(0) {
        return wrong(format!("expected exit {}", step.exit.unwrap_or(0)));
    }
    for (parts, text, name) in [
        (&step.stdout, &output.stdout, "stdout"),
        (&step.stderr, &output.stderr, "stderr"),
    ] {
        for part in parts {
            let part = shape::fill_text(part, variables);
            // The width of columns varies: compare with single spaces.
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !squeezed(text).contains(&squeezed(&part)) {
                return wrong(format!("expected {part:?} on {name}"));
            }
        }
    }
    for part in &step.not_stdout {
        let part = shape::fill_text(part, variables);
        if output.stdout.contains(&part) {
            return wrong(format!("expected no {part:?} on stdout"));
        }
    }
    for name in step.save.keys() {
        variables.insert(name.clone(), output.stdout.trim().into());
    }
    Ok(())
}

/// Formats an error like kubectl.
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

/// Returns the verb and the target of a step, for failures.
fn summary(step: &Step) -> String {
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
