//! The ssh command of a container that has an SSH key.
//!
//! ssh ignores `HOME` and uses the home of the passwd entry, so every file is passed explicitly.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use flightdeck_core::runs;
use flightdeck_host::templates::KNOWN_HOSTS;

/// File name of the key among the SSH files.
const KEY: &str = "key";

/// Returns the command for `GIT_SSH_COMMAND`; `None` in a container without a key, which uses the user's ssh.
pub(crate) fn command() -> Option<String> {
    let directory = |name: &str| {
        let value: OsString = env::var_os(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    let files = directory(runs::env::SSH_FILES)?;
    let own = files.join(KNOWN_HOSTS);
    let known = if own.is_file() {
        own
    } else {
        directory(runs::env::RUN_FILES)?.join(KNOWN_HOSTS)
    };
    Some(with(&files.join(KEY), &known))
}

/// Builds a command that uses no configuration and only this key and these host keys, and never prompts.
fn with(key: &Path, known_hosts: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    // ssh splits the value of this option at spaces and expands percent signs.
    let known = known_hosts.display().to_string().replace('%', "%%");
    let known = format!("UserKnownHostsFile=\"{known}\"").replace('\'', r"'\''");
    format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o '{known}' -o GlobalKnownHostsFile=none \
         -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=30",
        quoted(key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_quotes_any_path() {
        let command = with(Path::new("/it's here/key"), Path::new("/a b/known_hosts"));
        // Let a shell parse the command, as git does.
        let words = std::process::Command::new("sh")
            .args(["-c", &command.replacen("ssh", "printf '%s\\n'", 1)])
            .output()
            .unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        assert_eq!(words[..4], ["-F", "none", "-i", "/it's here/key"]);
        assert!(
            words.contains(&"UserKnownHostsFile=\"/a b/known_hosts\""),
            "{words:?}"
        );
        assert!(words.contains(&"StrictHostKeyChecking=yes"));
    }
}
