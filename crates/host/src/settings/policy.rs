//! What a run may not ask for: variables that steer programs, Secrets that are not for agents, hosts that are not to see a
//! credential. Whoever may create a run chooses its repository, its user and its Secrets, so the line is drawn here.
//!
//! Must not know: what exists on the cluster.

use super::Settings;
use flightdeck_core::{remote_url::RemoteUrl, resources::rules, runs::Run};

/// Why a run is refused as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// What it wants in its agent's environment.
    Environment(String),
    /// Where its Git credential would go.
    Host(String),
}

impl NotAllowed {
    /// The sentence: what, and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Environment(message) | Self::Host(message) => message,
        }
    }
}

impl Settings {
    /// Why the run is refused; `None` when it is fine.
    #[must_use]
    pub fn refuses(&self, run: &Run) -> Option<NotAllowed> {
        self.refuses_environment(run)
            .map(NotAllowed::Environment)
            .or_else(|| self.refuses_host(run).map(NotAllowed::Host))
    }

    /// A Secret with a Git credential would hand the agent what the split into stages keeps from it; any other must be
    /// allowed by name.
    fn refuses_environment(&self, run: &Run) -> Option<String> {
        let secrets = &run.spec.env_from_secrets;
        let names = run.spec.env.keys();
        let mut names = names.chain(secrets.iter().map(|secret| &secret.name));
        if let Some(name) = names.find(|name| rules::is_reserved(name)) {
            return Some(format!(
                "the variable {name} is reserved; take it out of env"
            ));
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
                    "the Secret {secret} holds a Git credential, which an agent never gets; take {name} out of envFromSecrets"
                ));
            }
            let allowed = &self.allow.env_secrets;
            (!allowed.iter().any(|pattern| matches(pattern, secret))).then(|| {
                format!(
                    "the Secret {secret} is not among those that runs may use; take {name} out of envFromSecrets, or have {secret} added to allow.env_secrets of the controller's settings"
                )
            })
        })
    }

    /// A credential goes only to hosts it is meant for. A repository without a host is sent none.
    fn refuses_host(&self, run: &Run) -> Option<String> {
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
                    "the Git credential of {user} is not meant for {host}; have the host added to allow.{setting} of the controller's settings, or clone from one that is there"
                )
            })
        })
    }
}

/// Whether a name is the pattern's; a `*` at its end stands for the rest of a name.
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
    fn a_credential_goes_only_where_it_is_meant_to() {
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
    fn a_run_names_only_secrets_that_are_allowed_and_no_variable_that_steers() {
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
