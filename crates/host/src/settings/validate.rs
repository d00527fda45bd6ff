//! Validates settings beyond their types. Pure.

use super::{Settings, check_options};
use flightdeck_core::{quantity, runs::naming};

impl Settings {
    /// Validates the settings. Returns the dotted name of the first invalid setting, and why it is invalid.
    pub(crate) fn validate(&self) -> Result<(), (String, String)> {
        let no = |field: &str, text: &str, what: &str| {
            Err((field.to_owned(), format!("{text:?} is not {what}")))
        };
        if quantity::parse(&self.workspace.size).is_none_or(|bytes| bytes <= 0.0) {
            return no(
                "workspace.size",
                &self.workspace.size,
                "a quantity; use for example 10Gi",
            );
        }
        if self.images.runner.trim().is_empty() {
            return no("images.runner", &self.images.runner, "an image");
        }
        for (field, secret) in [
            ("secrets.github_token", &self.secrets.github_token),
            ("secrets.ssh_key", &self.secrets.ssh_key),
            ("secrets.anthropic", &self.secrets.anthropic),
        ] {
            let name = secret.name.replace("{user}", "user");
            if !is_name(&name) {
                return no(
                    &format!("{field}.name"),
                    &secret.name,
                    "a Secret name; {user} is replaced by the GitHub user",
                );
            }
            if secret.key.is_empty() {
                return no(&format!("{field}.key"), &secret.key, "a Secret key");
            }
        }
        for (field, hosts) in [
            ("allow.github_token_hosts", &self.allow.github_token_hosts),
            ("allow.ssh_key_hosts", &self.allow.ssh_key_hosts),
        ] {
            let bad = hosts.iter().find(|host| !is_host(host));
            if let Some(bad) = bad {
                return no(field, bad, "a host; use for example git.example.com");
            }
        }
        let budget = &self.defaults.budget_usd;
        if !budget.is_empty()
            && !budget
                .parse::<f64>()
                .is_ok_and(|usd| usd > 0.0 && usd.is_finite())
        {
            return no(
                "defaults.budget_usd",
                budget,
                "an amount in USD; use for example 2.50",
            );
        }
        if !(0..=10).contains(&self.defaults.retries) {
            let retries = self.defaults.retries.to_string();
            return no("defaults.retries", &retries, "between 0 and 10");
        }
        if self.defaults.deadline_seconds < 0 {
            let seconds = self.defaults.deadline_seconds.to_string();
            return no("defaults.deadline_seconds", &seconds, "a number of seconds");
        }
        for (field, address) in [
            ("pods.proxy.http", &self.pods.proxy.http),
            ("pods.proxy.https", &self.pods.proxy.https),
        ] {
            // Pod specs are readable by anyone with access to the namespace.
            if address.contains('@') {
                let why = "contains a user or password; put the URL into the Secret named by pods.proxy.secret";
                return Err((field.to_owned(), why.to_owned()));
            }
            let web = ["https://", "http://"];
            if !address.is_empty() && !web.iter().any(|scheme| address.starts_with(scheme)) {
                return no(
                    field,
                    address,
                    "a proxy URL; use for example http://proxy.example.com:3128",
                );
            }
        }
        let secret = &self.pods.proxy.secret;
        if !secret.is_empty() && !is_name(secret) {
            return no("pods.proxy.secret", secret, "a Secret name");
        }
        for pattern in &self.allow.env_secrets {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            if !name.is_empty() && !is_name(name.trim_end_matches(['-', '.'])) {
                return no(
                    "allow.env_secrets",
                    pattern,
                    "a Secret name, optionally ending in *",
                );
            }
        }
        let bad = self
            .allow
            .submodules
            .iter()
            .find(|one| !is_submodule_pattern(one));
        if let Some(bad) = bad {
            return no(
                "allow.submodules",
                bad,
                "a repository; use for example acme/lib, or acme/* for all of an owner",
            );
        }
        for (table, options) in [("docs", &self.publish.docs), ("code", &self.publish.code)] {
            check_options(options)
                .map_err(|(name, why)| (format!("publish.{table}.{name}"), why))?;
        }
        for host in &self.forge.hosts {
            let web = ["https://", "http://"];
            if !web.iter().any(|scheme| host.api_url.starts_with(scheme)) {
                return no(
                    "forge.hosts",
                    &host.api_url,
                    "a URL; use for example https://git.example.com/api/v3",
                );
            }
        }
        Ok(())
    }
}

/// Returns whether `name` is a valid name of a Kubernetes object.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (1..=253).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns whether `pattern` is a repository path, or a path prefix with `/*`.
fn is_submodule_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(owner) => naming::is_repository_path(owner),
        None => pattern.contains('/') && naming::is_repository_path(pattern),
    }
}

fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    is_name(&host.to_lowercase())
}
