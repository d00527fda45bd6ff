//! The SSH key of a container that was given one, as the command that git is to start.
//!
//! ssh looks for its files where the account's entry says and never at `HOME`, so each is named.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use flightdeck_core::runs;
use flightdeck_host::templates::KNOWN_HOSTS;

/// The key among the SSH files.
const KEY: &str = "key";

/// The command for `GIT_SSH_COMMAND`; `None` in a container without a key, where the account's own ssh is used.
pub fn command() -> Option<String> {
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

/// No configuration, this key alone, these host keys alone, and never a question.
fn with(key: &Path, known_hosts: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    // ssh splits the value of this option at spaces, and expands what begins with a percent sign.
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
    fn the_command_names_every_file_and_survives_any_path() {
        let command = with(Path::new("/it's here/key"), Path::new("/a b/known_hosts"));
        // What a shell makes of it, as git starts it.
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
