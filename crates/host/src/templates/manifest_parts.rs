//! Files and manifest entries of a run that come from the settings instead of a template: documents, workspace
//! layout, and ssh files.

use crate::settings::{OtherChanges, Settings};
use flightdeck_core::runs::{DocsSource, Layout, ManifestSettings, Run};

/// Host keys for ssh, both in the run's files and in a user's SSH Secret.
pub const KNOWN_HOSTS: &str = "known_hosts";
/// The user database of a container, among the run's files: one line in `passwd` format.
pub const PASSWD: &str = "passwd";

/// Returns the manifest entries that depend on the settings.
pub(super) fn arrangement(run: &Run, settings: &Settings) -> ManifestSettings {
    let code = run.code.clone().unwrap_or_default();
    let docs = code.docs_repository_url.map(|url| DocsSource {
        known_host: settings.forge_target(&url).is_some(),
        repository_url: url,
        branch: code.docs_branch,
        directory: code
            .docs_project_directory
            .unwrap_or_else(|| ".".to_owned()),
    });
    ManifestSettings {
        forge: settings.forge_target(&run.spec.repository_url),
        pull_request: settings.pull_request(run.kind).clone(),
        publish_incomplete: settings.publish.incomplete,
        refuse_other_changes: settings.publish.other_changes == OtherChanges::Refuse,
        docs,
        layout: Layout {
            depth: settings.git.depth,
            keep_runs: settings.workspace.keep_runs,
        },
        submodules: settings.allow.submodules.clone(),
    }
}

/// Returns the files that ssh needs in a run with a key: the known hosts, and a user entry without home and shell.
pub(super) fn ssh_files(run: &Run, settings: &Settings) -> Vec<(String, String)> {
    if run.ssh_user().is_none() {
        return Vec::new();
    }
    let user = settings.pods.user;
    vec![
        (
            KNOWN_HOSTS.to_owned(),
            settings.git.known_hosts.trim_start().to_owned(),
        ),
        (
            PASSWD.to_owned(),
            format!("flightdeck:x:{user}:{user}:Flightdeck::\n"),
        ),
    ]
}
