//! Wraps every program that a run starts, and records its arguments and environment, and those of all parent
//! processes.
//!
//! Not recorded: a process that is started by its full path and starts nothing itself. All of ours start something; those
//! that git starts by a full path are in its own trace.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Separates the arguments and the environment of a process.
const BETWEEN: &str = "\u{1}";

const SPY: &str = r#"#!/bin/sh
note() { {cat} /proc/$1/cmdline {seen}/.between /proc/$1/environ > {seen}/"$2"; } 2>/dev/null
parent() { while read -r word value; do test "$word" = PPid: && break; done < /proc/$1/status; } 2>/dev/null
name=${0##*/}
note $$ "$$.$name"
parent $$
while test "${value:-0}" -gt 1 && test "$value" != {tests} && test ! -e {seen}/"$value"; do
  note "$value" "$value"
  parent "$value"
done
case $name in git*)
  export GIT_EXEC_PATH={exec} GIT_TRACE2_EVENT={seen}/.trace GIT_TRACE_REDACT=0 ;;
esac
exec {real}/"$name" "$@"
"#;

/// The wrapped programs and the recorded calls.
pub(super) struct Programs {
    directory: PathBuf,
    /// The `PATH` for a process to be recorded.
    pub path: String,
}

/// A recorded process.
pub(super) struct Seen {
    pub words: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Programs {
    /// Wraps every program in the `PATH` and of git itself; `own` are scripts that replace the programs of
    /// their names.
    pub(super) fn watched(directory: &Path, own: &[(&str, &str)]) -> Self {
        let at = |name: &str| directory.join(name);
        for name in ["path", "real", "exec", "seen/.trace"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("seen/.between"), format!("{BETWEEN}\0")).unwrap();
        for (name, script) in own {
            write_program(&at("real").join(name), script);
        }
        let path = std::env::var("PATH").unwrap();
        for folder in std::env::split_paths(&path) {
            for program in programs(&folder) {
                // The first program of a name wins.
                let name = program.file_name().unwrap();
                let _ = symlink(&program, at("real").join(name));
            }
        }
        let git = Command::new("git").arg("--exec-path").output().unwrap();
        let git = PathBuf::from(String::from_utf8(git.stdout).unwrap().trim());
        let spy = |real: &Path| {
            let shown = |path: &Path| path.display().to_string();
            SPY.replace("{cat}", &shown(&fs::canonicalize(at("real/cat")).unwrap()))
                .replace("{seen}", &shown(&at("seen")))
                .replace("{exec}", &shown(&at("exec")))
                .replace("{tests}", &std::process::id().to_string())
                .replace("{real}", &shown(real))
        };
        write_program(&at("spy"), &spy(&at("real")));
        write_program(&at("git-spy"), &spy(&git));
        for program in programs(&at("real")) {
            let name = program.file_name().unwrap();
            symlink(at("spy"), at("path").join(name)).unwrap();
        }
        for program in programs(&git) {
            // git's shell scripts source each other, which does not work with a wrapper.
            let target = if is_binary(&program) {
                at("git-spy")
            } else {
                program.clone()
            };
            symlink(target, at("exec").join(program.file_name().unwrap())).unwrap();
        }
        Self {
            path: at("path").display().to_string(),
            directory: directory.to_owned(),
        }
    }

    /// Returns every recorded process, and those in git's trace.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let files = |folder: &str| {
            let entries = fs::read_dir(self.directory.join(folder)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            paths.filter(|path| path.is_file()).collect::<Vec<_>>()
        };
        let mut all: Vec<Seen> = files("seen").iter().map(|file| self.read(file)).collect();
        for file in files("seen/.trace") {
            let trace = fs::read_to_string(file).unwrap();
            let events = trace
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            all.extend(events.filter_map(|event: Value| {
                let words = event.get("argv")?.as_array()?.iter();
                Some(Seen {
                    words: words.filter_map(Value::as_str).map(str::to_owned).collect(),
                    environment: Vec::new(),
                })
            }));
        }
        all
    }

    fn read(&self, file: &Path) -> Seen {
        let bytes = fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let mut parts = text.split_terminator('\0');
        let words = parts.by_ref().take_while(|part| *part != BETWEEN);
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        // Skip the shell of the wrapper itself.
        let spied = |word: &String| Path::new(word).starts_with(&self.directory);
        if words.get(1).is_some_and(spied) {
            words.remove(0);
        }
        let variables = parts.filter_map(|variable| variable.split_once('='));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Seen {
            words,
            environment: variables.map(owned).collect(),
        }
    }
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let runs = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    paths.filter(runs).collect()
}

fn is_binary(program: &Path) -> bool {
    let mut start = [0; 4];
    let read = fs::File::open(program).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"\x7fELF"
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Seen {
    /// Returns the value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.environment.iter();
        let (_, value) = variables.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Returns the name of the program.
    pub(super) fn program(&self) -> &str {
        let path = Path::new(self.words.first().map_or("", String::as_str));
        path.file_name().and_then(OsStr::to_str).unwrap_or_default()
    }
}
