//! Credential plugins: commands of a kubeconfig (`users[].user.exec`) that print a token or a certificate.
//!
//! The client library runs such a command on the user's terminal, and once per request while it fails. This module runs it
//! for the library: one call at a time, away from a screen that is in use, and with backoff after a failure.

use std::{
    io::{self, IsTerminal},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Request, header::AUTHORIZATION};
use jiff::Timestamp;
use kube::{
    client::Body,
    config::{AuthInfo, ExecConfig, ExecInteractiveMode},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{process::Command, sync::Mutex, time::Instant};
use tower::{Layer, ServiceBuilder, util::BoxService};

use super::Stack;
use flightdeck_core::{
    backoff::{Attempts, Backoff},
    files::last_line,
    text,
};

/// Backoff after failures. The first wait is long enough to notice that the plugin opened a browser.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
/// How long before its expiry a token is renewed, at most half of its remaining lifetime.
const MARGIN: Duration = Duration::from_secs(60);
/// Minimum time between two calls of a plugin whose tokens expire at once.
const SHORTEST_USE: Duration = Duration::from_secs(1);
/// Requests that may queue for the plugin, as many as in the client's own queue.
const QUEUE: usize = 1024;
/// Maximum width of the plugin's message in an error.
const MESSAGE_COLUMNS: usize = 300;

/// Whether a credential plugin may prompt on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Allowed if the kubeconfig allows it and stdin is a terminal.
    Allowed,
    /// Never prompt: the terminal shows the console or a log.
    Never,
}

/// A credential plugin that returned no credentials.
#[derive(Clone, Debug, thiserror::Error)]
#[error("credential plugin `{command}` failed: {reason}")]
pub struct PluginError {
    command: String,
    reason: String,
}

/// A credential plugin and its last token. As a layer it adds the token to each request.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: Arc<ExecConfig>,
    interactive: bool,
    state: Arc<Mutex<State>>,
}

struct State {
    token: Option<Token>,
    /// The last failure, and until when it is returned without another call.
    failure: Option<(PluginError, Instant)>,
    attempts: Attempts,
}

struct Token {
    header: HeaderValue,
    renew: Timestamp,
    expires: Timestamp,
}

/// The output of a plugin.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Credential>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

impl Plugin {
    /// Runs the plugin of `user`, if there is one. Stores a certificate in `user` and returns a layer that adds a
    /// token. Returns `None` without a plugin, or if its credentials need no layer.
    pub(super) async fn log_in(
        user: &mut AuthInfo,
        prompts: Prompts,
    ) -> Result<Option<Self>, PluginError> {
        let Some(exec) = user.exec.take().filter(|_| !has_other_credentials(user)) else {
            return Ok(None);
        };
        let plugin = Self::new(exec, prompts, BACKOFF);
        let credential = plugin.run().await?;
        if let (Some(certificate), Some(key)) = (
            &credential.client_certificate_data,
            &credential.client_key_data,
        ) {
            user.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
            user.client_key_data = Some(BASE64_STANDARD.encode(key).into());
            if credential.token.is_none() {
                return Ok(None);
            }
        }
        let token = plugin.token(credential)?;
        plugin.state.lock().await.store(Ok(token))?;
        Ok(Some(plugin))
    }

    fn new(exec: ExecConfig, prompts: Prompts, backoff: Backoff) -> Self {
        Self {
            interactive: prompts == Prompts::Allowed
                && exec.interactive_mode != Some(ExecInteractiveMode::Never)
                && io::stdin().is_terminal(),
            exec: Arc::new(exec),
            state: Arc::new(Mutex::new(State {
                token: None,
                failure: None,
                attempts: Attempts::new(backoff),
            })),
        }
    }

    /// Returns the current `Authorization` header. Runs the plugin if needed.
    async fn header(&self) -> Result<HeaderValue, PluginError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        if let Some(header) = state.header() {
            return header;
        }
        let plugin = self.clone();
        // In a task of its own: a cancelled request must not interrupt a login in the user's browser.
        let call = tokio::spawn(async move {
            let called = plugin.run().await;
            let token = called.and_then(|credential| plugin.token(credential));
            state.store(token)
        });
        call.await
            .unwrap_or_else(|_| Err(self.failed("the call was interrupted")))
    }

    async fn run(&self) -> Result<Credential, PluginError> {
        let failed = |reason: &str| self.failed(reason);
        let exec = &*self.exec;
        let mut spec = json!({ "interactive": self.interactive });
        if let Some(cluster) = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info) {
            spec["cluster"] = json!(cluster);
        }
        let request =
            json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec});
        let mut command = Command::new(exec.command.as_deref().unwrap_or_default());
        command.args(exec.args.iter().flatten());
        for variable in exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        command
            .env("KUBERNETES_EXEC_INFO", request.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // A file instead of a pipe: a browser opened by the plugin may keep stderr open for hours.
        let mut messages = tempfile::tempfile().map_err(|error| failed(&error.to_string()))?;
        if !self.interactive {
            let stderr = messages.try_clone();
            command
                .stdin(Stdio::null())
                .stderr(stderr.map_err(|error| failed(&error.to_string()))?);
        }
        let output = command.spawn().map_err(|error| match &exec.install_hint {
            Some(hint) if error.kind() == io::ErrorKind::NotFound => {
                failed(&format!("no such command. {hint}"))
            }
            None if error.kind() == io::ErrorKind::NotFound => failed("no such command"),
            _ => failed(&error.to_string()),
        })?;
        let output = output.wait_with_output().await;
        let output = output.map_err(|error| failed(&error.to_string()))?;
        if !output.status.success() {
            let message = last_line(&mut messages, 0);
            return Err(failed(
                &message.unwrap_or_else(|| output.status.to_string()),
            ));
        }
        // No detail of a parse error: it might quote the token.
        serde_json::from_slice::<ExecCredential>(&output.stdout)
            .ok()
            .or_else(|| serde_saphyr::from_slice(&output.stdout).ok())
            .and_then(|printed| printed.status)
            .ok_or_else(|| failed("it printed no ExecCredential with a status"))
    }

    fn token(&self, credential: Credential) -> Result<Token, PluginError> {
        let token = credential
            .token
            .ok_or_else(|| self.failed("it printed no token"))?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| self.failed("its token does not fit into a header"))?;
        header.set_sensitive(true);
        let expires = credential.expiration_timestamp.unwrap_or(Timestamp::MAX);
        Ok(Token {
            header,
            renew: renewal(Timestamp::now(), expires),
            expires,
        })
    }

    fn failed(&self, reason: &str) -> PluginError {
        let command = self.exec.command.as_deref().unwrap_or_default();
        PluginError {
            command: text::sanitize(command).into_owned(),
            reason: text::cut_end(&text::sanitize(reason), MESSAGE_COLUMNS).into_owned(),
        }
    }
}

impl State {
    /// Returns the current token or failure; `None` if the plugin has to run.
    fn header(&self) -> Option<Result<HeaderValue, PluginError>> {
        if let Some((failure, until)) = &self.failure {
            let holds = Instant::now() < *until;
            return holds.then(|| self.fall_back(failure));
        }
        let token = self.token.as_ref();
        let token = token.filter(|token| Timestamp::now() < token.renew);
        token.map(|token| Ok(token.header.clone()))
    }

    /// Stores the result of a call and returns what waiting requests get.
    fn store(&mut self, called: Result<Token, PluginError>) -> Result<HeaderValue, PluginError> {
        match called {
            Ok(mut token) => {
                let now = Timestamp::now();
                if now < token.expires {
                    self.attempts.reset();
                } else {
                    // The server may still accept the token: the local clock may be ahead.
                    token.renew = now
                        .saturating_add(self.attempts.next_delay())
                        .unwrap_or(now);
                }
                let header = token.header.clone();
                self.token = Some(token);
                self.failure = None;
                Ok(header)
            }
            Err(failure) => {
                let header = self.fall_back(&failure);
                self.failure = Some((failure, Instant::now() + self.attempts.next_delay()));
                header
            }
        }
    }

    /// Returns the last token while it is valid, because tokens are renewed ahead of their expiry; otherwise
    /// `failure`.
    fn fall_back(&self, failure: &PluginError) -> Result<HeaderValue, PluginError> {
        match &self.token {
            Some(token) if Timestamp::now() < token.expires => Ok(token.header.clone()),
            _ => Err(failure.clone()),
        }
    }
}

impl Layer<Stack> for Plugin {
    type Service = Stack;

    fn layer(&self, inner: Stack) -> Stack {
        let plugin = self.clone();
        let with_header = ServiceBuilder::new()
            .filter_async(move |mut request: Request<Body>| {
                let plugin = plugin.clone();
                async move {
                    let header = plugin.header().await?;
                    request.headers_mut().insert(AUTHORIZATION, header);
                    Ok::<_, PluginError>(request)
                }
            })
            .buffer(QUEUE)
            .service(inner);
        BoxService::new(with_header)
    }
}

/// Returns whether the user has credentials that the client library prefers to a plugin's.
fn has_other_credentials(user: &AuthInfo) -> bool {
    user.auth_provider.is_some()
        || user.token.is_some()
        || user.token_file.is_some()
        || user.username.is_some() && user.password.is_some()
}

/// Returns when to renew a token received at `now`. A token close to its expiry is still used for a while; otherwise
/// the plugin would run for every request.
fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let left = Duration::try_from(now.duration_until(expires)).unwrap_or_default();
    let used = left.saturating_sub(MARGIN.min(left / 2)).max(SHORTEST_USE);
    now.saturating_add(used).unwrap_or(expires)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures::future::join_all;
    use kube::{Client, Config};
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::cluster::client::builder;

    const FOREVER: Backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600));
    const NEVER: Backoff = Backoff::new(Duration::ZERO, Duration::ZERO);

    /// A plugin that runs `script` in `directory`, where each call appends its request to the file `calls`.
    fn exec(directory: &Path, script: &str) -> ExecConfig {
        let path = directory.join("plugin.sh");
        let counted = format!("cd \"$PLACE\"; echo \"$KUBERNETES_EXEC_INFO\" >> calls\n{script}");
        std::fs::write(&path, counted).unwrap();
        serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": [path],
            "env": [{"name": "PLACE", "value": directory}, {"name": "PASSWORD", "value": "s3cret"}],
            "interactiveMode": "IfAvailable",
        }))
        .unwrap()
    }

    fn calls(directory: &Path) -> Vec<Value> {
        let all = std::fs::read_to_string(directory.join("calls")).unwrap();
        let calls = all.lines().map(|line| serde_json::from_str(line).unwrap());
        calls.collect()
    }

    fn config(address: &str, exec: ExecConfig) -> Config {
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        config.auth_info.exec = Some(exec);
        config
    }

    const FAILS: &str =
        "echo 'opening a browser' >&2; echo 'token expired; log in again' >&2\nexit 1";

    #[tokio::test]
    async fn error_names_plugin_and_last_message() {
        let directory = TempDir::new().unwrap();
        let missing =
            json!({"command": "no-such-plugin", "installHint": "Install it with: brew install it"});
        let missing: ExecConfig = serde_json::from_value(missing).unwrap();
        for (script, expected) in [
            (Some(FAILS), "`sh` failed: token expired; log in again"),
            (Some("exit 3"), "`sh` failed: exit status: 3"),
            (
                Some("echo '[s3cret]'"),
                "`sh` failed: it printed no ExecCredential with a status",
            ),
            (
                None,
                "`no-such-plugin` failed: no such command. Install it with: brew install it",
            ),
        ] {
            let exec =
                script.map_or_else(|| missing.clone(), |script| exec(directory.path(), script));
            let built = builder(config("cluster.example", exec), Prompts::Never).await;
            let error = built.err().unwrap();
            assert_eq!(error.to_string(), format!("credential plugin {expected}"));
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn requests_share_one_call_and_its_failure() {
        let directory = TempDir::new().unwrap();
        let plugin = Plugin::new(exec(directory.path(), FAILS), Prompts::Never, FOREVER);
        let all = join_all((0..20).map(|_| plugin.header())).await;
        assert!(all.iter().all(Result::is_err), "{all:?}");
        assert_eq!(calls(directory.path()).len(), 1);
    }

    #[tokio::test]
    async fn cancelled_request_does_not_interrupt_the_call() {
        let directory = TempDir::new().unwrap();
        let script =
            "until [ -e go ]; do sleep 0.01; done; echo '{\"status\": {\"token\": \"t\"}}'";
        let plugin = Plugin::new(exec(directory.path(), script), Prompts::Never, FOREVER);
        // One poll starts the call.
        assert!(futures::FutureExt::now_or_never(plugin.header()).is_none());
        std::fs::write(directory.path().join("go"), "").unwrap();
        assert_eq!(plugin.header().await.unwrap(), "Bearer t");
        assert_eq!(calls(directory.path()).len(), 1);
    }

    #[tokio::test]
    async fn runs_again_after_backoff_and_caches_the_token() {
        let directory = TempDir::new().unwrap();
        let script = format!(
            "[ -e logged-in ] || {{ {FAILS}\n}}\nprintf 'status:\\n  token: t\\n  expirationTimestamp: \"2999-01-01T00:00:00Z\"\\n'"
        );
        let plugin = Plugin::new(exec(directory.path(), &script), Prompts::Never, NEVER);
        plugin.header().await.unwrap_err();
        plugin.header().await.unwrap_err();
        std::fs::write(directory.path().join("logged-in"), "").unwrap();
        for _ in 0..3 {
            assert_eq!(plugin.header().await.unwrap(), "Bearer t");
        }
        assert_eq!(calls(directory.path()).len(), 3);
    }

    #[tokio::test]
    async fn adds_token_of_one_call_to_each_request() {
        let directory = TempDir::new().unwrap();
        let app = axum::Router::new().fallback(|headers: http::HeaderMap| async move {
            let sent = headers[AUTHORIZATION].to_str().unwrap_or_default();
            let version = json!({"major": "1", "minor": "36", "gitVersion": sent, "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
            axum::Json(version)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async { axum::serve(listener, app).await });
        let exec = exec(
            directory.path(),
            "cat >&2; echo '{\"status\": {\"token\": \"t\"}}'",
        );
        let built = builder(config(&address, exec), Prompts::Never).await;
        let client: Client = built.ok().unwrap().build();
        for _ in 0..3 {
            let version = client.apiserver_version().await.unwrap();
            assert_eq!(version.git_version, "Bearer t");
        }
        let [call] = &calls(directory.path())[..] else {
            panic!("more than one call")
        };
        assert_eq!(call["spec"]["interactive"], false);
    }

    #[test]
    fn failed_early_renewal_keeps_the_token() {
        let now = Timestamp::now();
        let hour = Duration::from_secs(3600);
        let state = |expires| State {
            token: Some(Token {
                header: HeaderValue::from_static("Bearer t"),
                renew: now - hour,
                expires,
            }),
            failure: None,
            attempts: Attempts::new(FOREVER),
        };
        let failure = || PluginError {
            command: "p".into(),
            reason: "no".into(),
        };
        for (expires, used) in [(now + hour, true), (now - hour, false)] {
            let mut state = state(expires);
            assert!(state.header().is_none());
            assert_eq!(state.store(Err(failure())).is_ok(), used);
            assert_eq!(state.header().unwrap().is_ok(), used);
        }
    }

    #[test]
    fn renews_short_lived_token_at_half_its_lifetime() {
        let now = Timestamp::UNIX_EPOCH;
        for (left, used) in [(3600, 3540), (120, 60), (40, 20), (1, 1), (0, 1), (-5, 1)] {
            let expires = Timestamp::from_second(left).unwrap();
            assert_eq!(renewal(now, expires).as_second(), used, "{left}");
        }
        assert_eq!(
            renewal(now, Timestamp::MAX).as_second(),
            Timestamp::MAX.as_second() - 60
        );
    }
}
