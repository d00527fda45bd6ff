//! Submodules: fetched so that the agent can read and build with them.
//!
//! `prep clone` fetches them and `prep setup` checks them out. `.gitmodules` is untrusted: it is parsed as data, and only
//! network URLs are followed. The run's Git credential is used for its own repository, and for others on the same host
//! only if the settings list them: otherwise the author of `.gitmodules` could choose what the agent reads.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    checkout::{behind_link, skip_worktree},
    environment::{read_json, write_json},
    error::StageError,
    fetch, log,
    remote::{self, Remote, local},
};
use flightdeck_core::{
    remote_url::{RemoteUrl, Transport, same_http_origin},
    runs::{RunManifest, naming},
    text,
};

/// The fetched submodules, in the handover: a list of [`Submodule`], each after its parent.
const LIST: &str = "submodules.json";
/// Maximum nesting depth.
const DEPTH: usize = 4;
/// Maximum number of submodules per run.
const LIMIT: usize = 200;

/// A fetched submodule.
#[derive(Debug, Serialize, Deserialize)]
struct Submodule {
    /// Path of the parent repository from the root of the checkout; empty for the root.
    within: String,
    /// Path in the parent repository.
    path: String,
    commit: String,
    /// Name of its bare repository in the handover.
    repository: String,
}

/// A repository whose submodules are not fetched yet.
struct Parent {
    repository: PathBuf,
    commit: String,
    url: String,
    path: String,
    level: usize,
}

/// Fetches the submodules of `commit` into the handover. Logs those that cannot be fetched; their folders stay empty.
pub(crate) async fn fetch_all(
    manifest: &RunManifest,
    repository: &Path,
    commit: &str,
    handover: &Path,
) -> Result<(), StageError> {
    let mut fetched: Vec<Submodule> = Vec::new();
    let mut parents = vec![Parent {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
        url: manifest.repository_url.clone(),
        path: String::new(),
        level: 0,
    }];
    while let Some(parent) = parents.pop() {
        for (path, id) in gitlinks(&parent.repository, &parent.commit).await? {
            let shown = join(&parent.path, &path);
            if fetched.len() == LIMIT || parent.level == DEPTH {
                log(format!(
                    "Skipped the submodule {shown}: too many or nested too deep. Its folder stays empty."
                ));
                continue;
            }
            let name = format!("submodule-{}.git", fetched.len());
            let own = handover.join(&name);
            match fetch_one(manifest, &parent, &path, &id, &own).await {
                Ok(url) => {
                    fetched.push(Submodule {
                        within: parent.path.clone(),
                        path,
                        commit: id.clone(),
                        repository: name,
                    });
                    parents.push(Parent {
                        repository: own,
                        commit: id,
                        url,
                        path: shown,
                        level: parent.level + 1,
                    });
                }
                Err(why) => log(format!(
                    "Could not fetch the submodule {shown}: {why}. Its folder stays empty."
                )),
            }
        }
    }
    if !fetched.is_empty() {
        log(format!(
            "Fetched {}.",
            text::count(fetched.len(), "submodule")
        ));
        write_json(&handover.join(LIST), &fetched)?;
    }
    Ok(())
}

/// Fetches one submodule and returns its URL.
async fn fetch_one(
    manifest: &RunManifest,
    parent: &Parent,
    path: &str,
    id: &str,
    own: &Path,
) -> Result<String, String> {
    let url = url_of(&parent.repository, &parent.commit, path)
        .await
        .ok_or_else(|| ".gitmodules has no URL for it".to_owned())?;
    let url = resolve(&parent.url, &url)?;
    let same_host = same_host(manifest, &url);
    let known_host = same_host && manifest.forge.is_some();
    let remote = Remote::at(&url, known_host, remote::token(manifest));
    let mut remote = remote.map_err(|error| error.to_string())?;
    let mut withheld = None;
    if !(same_host && is_allowed(manifest, &url)) {
        withheld = naming::repository_path(&url).filter(|_| same_host && remote.has_credential());
        remote = remote.without_credential();
    }
    fetch::init(own).await.map_err(|error| error.to_string())?;
    match (fetch::commit(&remote, own, id).await, withheld) {
        (Ok(()), _) => Ok(url),
        (Err(error), Some(path)) if error.failure.may_need_credential() => Err(format!(
            "{} was not found or requires a credential, and the run's credential is used only for submodules listed in [allow] submodules of the settings; add {path:?} there",
            remote.display_url()
        )),
        (Err(error), _) => Err(error.message),
    }
}

/// Returns whether a URL has the host and transport of the run's repository.
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

/// Returns whether the run's credential may be used for a repository on its host.
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

/// Returns path and commit of every submodule in the tree of `commit`.
async fn gitlinks(repository: &Path, commit: &str) -> Result<Vec<(String, String)>, StageError> {
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

/// Returns the URL that `.gitmodules` of `commit` has for the submodule at `path`.
pub(crate) async fn url_of(repository: &Path, commit: &str, path: &str) -> Option<String> {
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

/// Returns the absolute address of a submodule, which may be relative to that of its parent repository.
fn resolve(parent: &str, url: &str) -> Result<String, String> {
    let refused = |why: &str| Err(format!("its address {url:?} {why}"));
    if url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return refused("is not supported");
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
    // A path would refer to this container's files, so it is accepted only if the parent was cloned from a path too.
    let is_network = |address| Transport::of(address).is_some_and(Transport::is_authenticated);
    if !is_network(&resolved) && is_network(parent) {
        return refused("is not a network address");
    }
    Ok(resolved)
}

/// Checks out the fetched submodules for the agent to read: its commits there are not published.
pub(crate) async fn check_out(handover: &Path, checkout: &Path) -> Result<(), StageError> {
    skip_gitlinks(checkout).await?;
    let list = handover.join(LIST);
    if !list.is_file() {
        return Ok(());
    }
    let submodules: Vec<Submodule> = read_json(&list)?;
    for submodule in &submodules {
        let path = join(&submodule.within, &submodule.path);
        if behind_link(checkout, &path) {
            log(format!(
                "Skipped the submodule {path}: its path contains a symlink."
            ));
            continue;
        }
        let from = handover.join(&submodule.repository);
        let to = checkout.join(&path);
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
        skip_gitlinks(&to).await?;
    }
    Ok(())
}

/// Makes git ignore changes to every submodule, including empty ones, over which `git add --all` fails.
async fn skip_gitlinks(checkout: &Path) -> Result<(), StageError> {
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
    skip_worktree(checkout, &links).await
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
    use crate::stages::policy::tests::manifest;

    #[test]
    fn credential_is_for_own_and_listed_repositories() {
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
    fn resolves_urls_like_git_but_never_to_local_paths() {
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
