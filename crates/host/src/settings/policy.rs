//! Rules for what a run may request: environment variables, Secrets, and hosts that may receive credentials. Users
//! who may create runs choose their repositories, users and Secrets, so these rules are the security boundary.
//!
//! Does not depend on what exists on the cluster.

use super::Settings;
use flightdeck_core::{remote_url::RemoteUrl, resources::rules, runs::Run};

/// Why a run's spec is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// The agent's environment.
    Environment(String),
    /// The host that would receive the Git credential.
    Host(String),
}

impl NotAllowed {
    /// Returns what is refused, and how to fix it.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Environment(message) | Self::Host(message) => message,
        }
    }
}

impl Settings {
    /// Returns why the run is refused; `None` if it is allowed.
    #[must_use]
    pub fn refuses(&self, run: &Run) -> Option<NotAllowed> {
        self.check_environment(run)
            .map(NotAllowed::Environment)
            .or_else(|| self.check_host(run).map(NotAllowed::Host))
    }

    /// A Secret with a Git credential would bypass the separation of stages, which keeps it from the agent. Other
    /// Secrets must be allowed by name.
    fn check_environment(&self, run: &Run) -> Option<String> {
        let secrets = &run.spec.env_from_secrets;
        let names = run.spec.env.keys();
        let mut names = names.chain(secrets.iter().map(|secret| &secret.name));
        if let Some(name) = names.find(|name| rules::is_reserved(name)) {
            return Some(format!("variable {name} is reserved; remove it from env"));
        }
        let git = [&self.secrets.github_token, &self.secrets.ssh_key];
        let is_git = |name: &str| {
            git.iter()
                .any(|secret| match secret.name.split_once("{user}") {
                    Some((before, after)) => name.starts_with(before) && name.ends_with(after),
                    None => secret.name == name,
                })
        };
        secrets.iter().find_map(|wanted| {
            let (name, secret) = (&wanted.name, &wanted.secret_name);
            if is_git(secret) {
                return Some(format!(
                    "Secret {secret} contains a Git credential, which agents must not get; remove {name} from envFromSecrets"
                ));
            }
            let allowed = &self.allow.env_secrets;
            (!allowed.iter().any(|pattern| matches(pattern, secret))).then(|| {
                format!(
                    "runs may not use Secret {secret}; remove {name} from envFromSecrets, or add {secret} to allow.env_secrets in the controller's settings"
                )
            })
        })
    }

    /// Credentials are sent only to allowed hosts. Repositories without a host need none.
    fn check_host(&self, run: &Run) -> Option<String> {
        let user = run.spec.github_user.as_deref()?;
        let docs = run.code.as_ref();
        let docs = docs.and_then(|code| code.docs_repository_url.as_deref());
        let urls = [Some(run.spec.repository_url.as_str()), docs];
        urls.into_iter().flatten().find_map(|url| {
            let url = match RemoteUrl::parse(url) {
                Ok(url) => url,
                Err(error) => return Some(format!("{error}; correct the run's repositoryUrl")),
            };
            let host = url.host()?;
            let (allowed, setting) = if url.transport().is_http() {
                (&self.allow.github_token_hosts, "github_token_hosts")
            } else {
                (&self.allow.ssh_key_hosts, "ssh_key_hosts")
            };
            let is_allowed = allowed.iter().any(|allowed| {
                let allowed = allowed.to_lowercase();
                match allowed.strip_prefix('*') {
                    Some(end) => host.ends_with(end),
                    None => host == allowed,
                }
            });
            (!is_allowed).then(|| {
                format!(
                    "the Git credential of {user} may not be sent to {host}; add the host to allow.{setting} in the controller's settings, or use an allowed host"
                )
            })
        })
    }
}

/// Returns whether `name` matches `pattern`; a trailing `*` matches any suffix.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::AllowSettings;
    use flightdeck_core::resources::{CodeRun, SecretEnv};

    fn run(url: &str) -> Run {
        let run: CodeRun = serde_json::from_value(serde_json::json!({
            "apiVersion": "orchestrator.io/v1", "kind": "CodeRun", "metadata": { "name": "code-1" },
            "spec": { "repositoryUrl": url, "sourceBranch": "main", "taskId": "1", "service": "shop", "githubUser": "ada" },
        }))
        .unwrap();
        run.into()
    }

    fn settings() -> Settings {
        let mut settings = Settings::shipped();
        settings.allow = AllowSettings {
            github_token_hosts: vec!["github.com".into(), "*.example.com".into()],
            ssh_key_hosts: vec!["git.example.com".into()],
            env_secrets: vec!["shop-*".into(), "sentry".into()],
            submodules: Vec::new(),
        };
        settings
    }

    #[test]
    fn sends_credentials_only_to_allowed_hosts() {
        for (url, allowed) in [
            ("https://github.com/acme/shop.git", true),
            ("https://GitHub.com/acme/shop.git", true),
            ("https://ada@github.com:443/acme/shop", true),
            ("https://git.example.com/acme/shop", true),
            ("https://example.com/acme/shop", false),
            ("https://git.example.com.evil.example/acme/shop", false),
            ("https://github.com.evil.example/acme/shop", false),
            ("https://github.com@evil.example/acme/shop", false),
            ("http://evil.example/github.com/shop", false),
            ("git@git.example.com:acme/shop.git", true),
            ("ssh://git@git.example.com/acme/shop.git", true),
            ("git@github.com:acme/shop.git", false),
            ("ssh://github.com@evil.example/x", false),
            ("/srv/shop.git", true),
            ("file:///srv/shop.git", true),
        ] {
            let refused = settings().refuses(&run(url));
            assert_eq!(refused.is_none(), allowed, "{url}: {refused:?}");
        }
        let mut without_user = run("https://evil.example/shop");
        without_user.spec.github_user = None;
        assert_eq!(settings().refuses(&without_user), None);
        let mut docs_elsewhere = run("https://github.com/acme/shop");
        if let Some(code) = &mut docs_elsewhere.code {
            code.docs_repository_url = Some("https://evil.example/docs".into());
        }
        let refused = settings().refuses(&docs_elsewhere);
        assert!(matches!(refused, Some(NotAllowed::Host(_))), "{refused:?}");
    }

    #[test]
    fn refuses_unlisted_secrets_and_reserved_variables() {
        let wants = |variable: &str, secret: &str| {
            let mut run = run("/srv/shop.git");
            run.spec.env_from_secrets.push(SecretEnv {
                name: variable.into(),
                secret_name: secret.into(),
                secret_key: "key".into(),
            });
            settings().refuses(&run)
        };
        assert_eq!(wants("URL", "shop-database"), None);
        assert_eq!(wants("URL", "sentry"), None);
        for (variable, secret, word) in [
            ("URL", "payroll", "allow.env_secrets"),
            ("URL", "sentry-2", "allow.env_secrets"),
            ("TOKEN", "github-pat-ada", "Git credential"),
            ("TOKEN", "github-ssh-ada", "Git credential"),
            ("LD_PRELOAD", "sentry", "reserved"),
            ("GIT_SSH_COMMAND", "sentry", "reserved"),
        ] {
            let refused = wants(variable, secret).unwrap();
            assert!(refused.message().contains(word), "{refused:?}");
        }
        for name in [
            "PATH",
            "HOME",
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "FLIGHTDECK_X",
            "FD_PROMPT_FILE",
            "WORKSPACE",
        ] {
            let mut plain = run("/srv/shop.git");
            plain.spec.env.insert(name.into(), "x".into());
            let refused = settings().refuses(&plain).unwrap();
            assert!(refused.message().contains(name), "{refused:?}");
        }
    }
}
