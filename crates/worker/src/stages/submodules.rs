//! Submodules: other repositories at fixed commits, brought along so that the agent can read and build with them.
//!
//! `prep clone` fetches them, `prep lay` puts each into its place. What `.gitmodules` says is the repository's word: it is
//! read as data and only network addresses are followed. The run's Git credential is used for its own repository, and for others
//! of the same host only where the settings name them: whoever writes `.gitmodules` would otherwise choose what the agent reads.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    checkout::{behind_link, keep_from_commits},
    error::StageError,
    fetch,
    place::{read_json, write_json},
    remote::{self, Remote, local},
    say,
};
use flightdeck_core::{
    remote_url::{RemoteUrl, Transport, same_http_origin},
    runs::{RunManifest, naming},
    text,
};

/// What was brought along, in the handover: a list of [`Submodule`], each after the one it is in.
const LIST: &str = "submodules.json";
/// Submodules within submodules are followed so far down.
const DEPTH: usize = 4;
/// Most submodules of one run.
const LIMIT: usize = 200;

/// A submodule in the handover.
#[derive(Debug, Serialize, Deserialize)]
struct Submodule {
    /// The folder of the repository it is in, from the root of the checkout; empty for the root.
    within: String,
    /// Its own folder, from there.
    path: String,
    commit: String,
    /// Its bare repository, by name.
    repository: String,
}

/// A repository whose submodules are still to be looked for.
struct Parent {
    repository: PathBuf,
    commit: String,
    url: String,
    place: String,
    level: usize,
}

/// Fetches the submodules of `commit` into the handover. One that cannot be had is said; its folder stays empty.
pub async fn fetch_all(
    manifest: &RunManifest,
    repository: &Path,
    commit: &str,
    handover: &Path,
) -> Result<(), StageError> {
    let mut brought: Vec<Submodule> = Vec::new();
    let mut parents = vec![Parent {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
        url: manifest.repository_url.clone(),
        place: String::new(),
        level: 0,
    }];
    while let Some(parent) = parents.pop() {
        for (path, id) in links(&parent.repository, &parent.commit).await? {
            let shown = join(&parent.place, &path);
            if brought.len() == LIMIT || parent.level == DEPTH {
                say(format!(
                    "The submodule {shown} is one too many, or too deep: its folder stays empty."
                ));
                continue;
            }
            let name = format!("submodule-{}.git", brought.len());
            let own = handover.join(&name);
            match bring(manifest, &parent, &path, &id, &own).await {
                Ok(url) => {
                    brought.push(Submodule {
                        within: parent.place.clone(),
                        path,
                        commit: id.clone(),
                        repository: name,
                    });
                    parents.push(Parent {
                        repository: own,
                        commit: id,
                        url,
                        place: shown,
                        level: parent.level + 1,
                    });
                }
                Err(why) => say(format!(
                    "The submodule {shown} cannot be brought along: {why}. Its folder stays empty."
                )),
            }
        }
    }
    if !brought.is_empty() {
        say(format!(
            "Brought {} along.",
            text::count(brought.len(), "submodule")
        ));
        write_json(&handover.join(LIST), &brought)?;
    }
    Ok(())
}

/// Fetches one submodule; gives its URL.
async fn bring(
    manifest: &RunManifest,
    parent: &Parent,
    path: &str,
    id: &str,
    own: &Path,
) -> Result<String, String> {
    let url = url_of(&parent.repository, &parent.commit, path)
        .await
        .ok_or_else(|| ".gitmodules says no address for it".to_owned())?;
    let url = resolve(&parent.url, &url)?;
    let same_host = same_host(manifest, &url);
    let known_host = same_host && manifest.forge.is_some();
    let remote = Remote::at(&url, known_host, remote::token());
    let mut remote = remote.map_err(|error| error.to_string())?;
    let mut withheld = None;
    if !(same_host && is_allowed(manifest, &url)) {
        withheld = naming::repository_path(&url).filter(|_| same_host && remote.has_credential());
        remote = remote.without_credential();
    }
    fetch::init(own).await.map_err(|error| error.to_string())?;
    match (fetch::commit(&remote, own, id).await, withheld) {
        (Ok(()), _) => Ok(url),
        (Err(error), Some(path)) if error.problem.is_refusal() => Err(format!(
            "{} does not exist or asks for a credential, and the run's own is used only for submodules that [allow] submodules of the settings names; add {path:?} there",
            remote.shown()
        )),
        (Err(error), _) => Err(error.message),
    }
}

/// Whether a repository is on the host of the run's own, reached in the same way.
fn same_host(manifest: &RunManifest, url: &str) -> bool {
    let own = manifest.repository_url.as_str();
    let (Ok(one), Ok(other)) = (RemoteUrl::parse(own), RemoteUrl::parse(url)) else {
        return false;
    };
    match (one.transport(), other.transport()) {
        (Transport::Ssh, Transport::Ssh) => one.host().is_some() && one.host() == other.host(),
        _ => same_http_origin(own, url),
    }
}

/// Whether the run's Git credential may be used for a repository of its host.
fn is_allowed(manifest: &RunManifest, url: &str) -> bool {
    let Some(path) = naming::repository_path(url) else {
        return false;
    };
    let own = naming::repository_path(&manifest.repository_url);
    let listed = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => start.ends_with('/') && path.starts_with(start),
        None => *pattern == path,
    };
    own.as_ref() == Some(&path) || manifest.submodules.iter().any(listed)
}

/// Path and commit of every submodule in the tree of `commit`.
async fn links(repository: &Path, commit: &str) -> Result<Vec<(String, String)>, StageError> {
    let listed = local(repository)
        .args(["ls-tree", "-r", "-z", "--full-tree", commit])
        .run()
        .await?;
    let entries = listed.stdout.split(|byte| *byte == 0);
    Ok(entries
        .filter_map(|entry| {
            let entry = std::str::from_utf8(entry).ok()?;
            let (about, path) = entry.split_once('\t')?;
            let id = about.strip_prefix("160000 commit ")?;
            Some((path.to_owned(), id.trim().to_owned()))
        })
        .collect())
}

/// What `.gitmodules` of `commit` says of the submodule at `path`.
pub async fn url_of(repository: &Path, commit: &str, path: &str) -> Option<String> {
    let blob = format!("--blob={commit}:.gitmodules");
    let listed = local(repository)
        .args(["config", &blob, "-z", "--list"])
        .run()
        .await
        .ok()?
        .text();
    let entries: Vec<(&str, &str)> = listed
        .split('\0')
        .filter_map(|entry| entry.split_once('\n'))
        .collect();
    let key = entries.iter().find_map(|(key, value)| {
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        (*value == path).then(|| format!("submodule.{name}.url"))
    })?;
    let url = entries.iter().find(|(name, _)| *name == key);
    url.map(|(_, url)| (*url).to_owned())
}

/// The address of a submodule, which may be written relative to that of the repository it is in.
fn resolve(parent: &str, url: &str) -> Result<String, String> {
    let refused = |why: &str| Err(format!("its address {url:?} {why}"));
    if url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return refused("is none that is followed");
    }
    let mut resolved = url.to_owned();
    if url.starts_with("./") || url.starts_with("../") {
        let mut base = parent.trim_end_matches('/');
        let mut rest = url;
        while let Some(next) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("./")) {
            if rest.starts_with("../") {
                let Some(at) = base.rfind(['/', ':']) else {
                    return refused("leads out of the host");
                };
                base = &base[..at];
                if base.ends_with(":/") || base.is_empty() {
                    return refused("leads out of the host");
                }
            }
            rest = next;
        }
        let between = if Transport::of(base) == Transport::of(parent) && !base.is_empty() {
            '/'
        } else {
            ':'
        };
        resolved = format!("{base}{between}{rest}");
    }
    // A path would be one of this container; only a run that was itself cloned from a path may name one.
    let is_network = |address| Transport::of(address).is_some_and(Transport::is_authenticated);
    if !is_network(&resolved) && is_network(parent) {
        return refused("is no network address");
    }
    Ok(resolved)
}

/// Puts what was brought along into its places, for the agent to read: what it commits there is not published.
pub async fn lay(handover: &Path, checkout: &Path) -> Result<(), StageError> {
    keep_links(checkout).await?;
    let list = handover.join(LIST);
    if !list.is_file() {
        return Ok(());
    }
    let submodules: Vec<Submodule> = read_json(&list)?;
    for submodule in &submodules {
        let place = join(&submodule.within, &submodule.path);
        if behind_link(checkout, &place) {
            say(format!(
                "A link stands in the way of the submodule {place}."
            ));
            continue;
        }
        let from = handover.join(&submodule.repository);
        let to = checkout.join(&place);
        local(handover)
            .args(["init", "--quiet", "--template="])
            .arg(&to)
            .run()
            .await?;
        let id = submodule.commit.as_str();
        local(&from)
            .args(["update-ref", "refs/heads/wanted", id])
            .run()
            .await?;
        local(&to)
            .args(["fetch", "--quiet", "--no-tags", "--update-shallow", "--"])
            .arg(&from)
            .arg("refs/heads/wanted")
            .run()
            .await?;
        local(&to)
            .args(["checkout", "--quiet", "--detach", id])
            .run()
            .await?;
        keep_links(&to).await?;
    }
    Ok(())
}

/// Has git take every submodule for unchanged, one that stayed empty too: git commits nothing at all where it is asked for
/// everything and comes by an empty one.
async fn keep_links(checkout: &Path) -> Result<(), StageError> {
    let listed = local(checkout)
        .args(["ls-files", "--stage", "-z"])
        .run()
        .await?;
    // `<mode> <id> <stage>\t<path>`
    let entries = listed.stdout.split(|byte| *byte == 0);
    let links: Vec<String> = entries
        .filter(|entry| entry.starts_with(b"160000 "))
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('\t'))
        .map(|(_, path)| path.to_owned())
        .collect();
    keep_from_commits(checkout, &links).await
}

fn join(within: &str, path: &str) -> String {
    if within.is_empty() {
        path.to_owned()
    } else {
        format!("{within}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::judge::tests::manifest;

    #[test]
    fn the_credential_is_for_the_own_repository_and_those_that_are_listed() {
        let granted = |own: &str, url: &str| {
            let manifest = RunManifest {
                repository_url: own.into(),
                submodules: vec!["acme/lib".into(), "tools/*".into()],
                ..manifest()
            };
            same_host(&manifest, url) && is_allowed(&manifest, url)
        };
        let https = "https://github.com/acme/shop.git";
        for (url, expected) in [
            ("https://github.com/acme/shop", true),
            ("https://github.com/acme/lib.git", true),
            ("https://github.com/tools/sub/x", true),
            ("https://github.com/acme/other", false),
            ("https://github.com/acme/lib2", false),
            ("https://github.com/tools", false),
            ("https://github.com/tools/../victim/private", false),
            ("https://github.com/tools/%2e%2e/victim/private", false),
            ("https://example.com/acme/lib", false),
            ("https://github.com:8443/acme/lib", false),
            ("http://github.com/acme/lib", false),
            ("git@github.com:acme/lib.git", false),
        ] {
            assert_eq!(granted(https, url), expected, "{url}");
        }
        let ssh = "git@github.com:acme/shop.git";
        for (url, expected) in [
            ("ssh://git@github.com/acme/shop.git", true),
            ("git@github.com:acme/lib", true),
            ("git@github.com:victim/private", false),
            ("git@example.com:acme/lib", false),
            ("ssh://github.com?@evil.example/acme/lib", false),
            ("https://github.com/acme/lib", false),
        ] {
            assert_eq!(granted(ssh, url), expected, "{url}");
        }
        assert!(!granted("/srv/shop.git", "/srv/acme/lib"));
    }

    #[test]
    fn addresses_are_followed_as_git_does_and_never_into_the_container() {
        let https = "https://github.com/acme/shop.git";
        let ssh = "git@github.com:acme/shop.git";
        for (parent, url, expected) in [
            (
                https,
                "https://example.com/x.git",
                Some("https://example.com/x.git"),
            ),
            (https, "../lib.git", Some("https://github.com/acme/lib.git")),
            (
                https,
                "../../other/lib",
                Some("https://github.com/other/lib"),
            ),
            (https, "./lib", Some("https://github.com/acme/shop.git/lib")),
            (https, "../../../../lib", None),
            (ssh, "../lib.git", Some("git@github.com:acme/lib.git")),
            (ssh, "../../other/lib", Some("git@github.com:other/lib")),
            (ssh, "ssh://git@host/x", Some("ssh://git@host/x")),
            ("/srv/shop.git", "../lib.git", Some("/srv/lib.git")),
            ("/srv/shop.git", "/srv/lib.git", Some("/srv/lib.git")),
            (https, "/handover/clone.git", None),
            (https, "file:///handover/clone.git", None),
            (https, "ext::sh -c touch% pwned", None),
            (https, "--upload-pack=touch pwned", None),
            (https, "https://x/\u{1b}[31m", None),
        ] {
            let resolved = resolve(parent, url);
            assert_eq!(resolved.as_deref().ok(), expected, "{parent} {url}");
        }
    }
}
