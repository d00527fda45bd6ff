//! The layers of ARCHITECTURE.md: which crate may depend on which, and which code may not know the outside world.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Each crate of ours and the crates of ours it may depend on. The root package may depend on all of them.
const LAYERS: &[(&str, &[&str])] = &[
    ("kube-rules", &[]),
    ("core", &["kube-rules"]),
    ("kube-embedded", &["kube-rules"]),
    ("testing", &["kube-embedded"]),
    ("host", &["core"]),
    ("preflight", &["core", "host"]),
    ("verbs", &["core", "host", "preflight"]),
    ("worker", &["core", "host"]),
    ("console", &["core", "host", "preflight", "verbs"]),
];

/// Packages that a crate must not depend on, not even for its tests.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("core", &["tokio", "ratatui", "crossterm", "git2", "hyper"]),
    ("kube-embedded", &["ratatui", "crossterm", "git2"]),
];

/// Modules of the console that only draw and decide: they never use the cluster.
const PURE_CONSOLE: &[&str] = &["view", "layout", "widgets", "panels", "overlays"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source of the product, with its text. Tests beside the code are included, `tests/` folders are not.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(&root().join("src"), &mut out);
    for (name, _) in LAYERS.iter().filter(|row| row.0 != "testing") {
        walk(&root().join("crates").join(name).join("src"), &mut out);
    }
    out
}

/// The code of a source up to its tests, without comment lines.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn crates_depend_only_on_lower_layers() {
    let folders: BTreeMap<String, PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    let known: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    let mut sorted = known.clone();
    sorted.sort_unstable();
    assert!(
        folders.keys().eq(sorted.iter()),
        "crates/ has {folders:?}, the table of layers has {known:?}"
    );
    for (name, allowed) in LAYERS {
        let text = fs::read_to_string(folders[*name].join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = |section: &str| -> Vec<String> {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            table
                .into_iter()
                .flat_map(|table| table.keys().cloned())
                .collect()
        };
        for dependency in dependencies("dependencies") {
            let ours = known
                .iter()
                .find(|known| dependency == format!("flightdeck-{known}") || dependency == **known);
            assert!(
                ours.is_none_or(|ours| allowed.contains(ours)),
                "{name} may not depend on {dependency}"
            );
        }
        let forbidden = FORBIDDEN.iter().find(|row| row.0 == *name);
        let packages = forbidden.map_or(&[][..], |(_, packages)| packages);
        for section in ["dependencies", "dev-dependencies"] {
            let found = dependencies(section)
                .into_iter()
                .find(|dependency| packages.contains(&dependency.as_str()));
            assert_eq!(found, None, "{name} must not depend on it");
        }
    }
}

#[test]
fn core_starts_no_process() {
    for (path, source) in sources() {
        if path.starts_with(root().join("crates/core")) {
            let found = code(&source).find(|line| line.contains("std::process"));
            assert_eq!(found, None, "{}", path.display());
        }
    }
}

#[test]
fn drawing_code_never_uses_the_cluster() {
    let console = root().join("crates/console/src");
    for (path, source) in sources() {
        let Ok(inside) = path.strip_prefix(&console) else {
            continue;
        };
        let module = inside.iter().next().unwrap().to_string_lossy();
        if PURE_CONSOLE.contains(&module.trim_end_matches(".rs")) {
            let found = code(&source).find(|line| line.contains("cluster::"));
            assert_eq!(found, None, "{}", path.display());
        }
    }
}

/// Calls that write text to a terminal, with the files that may contain them: those that sanitise text or write only their own.
const WAYS_TO_A_TERMINAL: &[(&[&str], &[&str])] = &[
    (
        &[
            "put_text(",
            "set_string",
            "set_stringn",
            "set_line",
            "set_span",
            "set_symbol",
            "set_char",
            "Paragraph::new",
            "Span::",
            "Line::from",
            "Line::raw",
        ],
        &[
            "crates/console/src/draw.rs",
            // Draws text that the layout has sanitised.
            "crates/console/src/widgets/text_view/draw.rs",
        ],
    ),
    (
        &[".render("],
        &[
            // Text areas, which show no control characters, and clearing the area of a window.
            "crates/console/src/overlays/window.rs",
        ],
    ),
    (
        &[
            "io::stdout",
            "io::stderr",
            "println!",
            "print!(",
            "/dev/tty",
        ],
        &[
            "src/cli/output.rs",
            // Base64, for the clipboard.
            "crates/console/src/perform/desktop.rs",
            // Our own escape sequences, and sanitised notifications.
            "crates/console/src/terminal.rs",
            // Addresses of servers; logs.
            "src/main.rs",
            // Processes in containers write logs, which are sanitised when they are shown.
            "crates/worker/src/agents.rs",
            "crates/worker/src/agents/template.rs",
            // Usage, errors, and the path of the kubeconfig.
            "crates/kube-embedded/src/main.rs",
            "crates/kube-embedded/src/shim.rs",
            "crates/worker/src/stages.rs",
            "crates/worker/src/stages/agent.rs",
            // A patch must stay unchanged; it is checked to have no control characters.
            "crates/worker/src/stages/patch.rs",
        ],
    ),
];

#[test]
fn text_reaches_a_terminal_only_through_sanitizers() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let below = path.to_string_lossy().replace('\\', "/");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let tests = below.ends_with("tests.rs") || below.ends_with("schedules.rs");
        for (words, files) in WAYS_TO_A_TERMINAL.iter().filter(|_| !tests) {
            // Outside the console, `.render(` is for templates and `Line::` for other types.
            let drawing = words != &WAYS_TO_A_TERMINAL[2].0;
            let allowed = drawing && !below.contains("/crates/console/")
                || files.iter().any(|file| below.ends_with(file));
            let named = code.lines().filter(|line| {
                !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word))
            });
            for line in named.filter(|_| !allowed) {
                broken.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "write text through the console's draw.rs or cli/output.rs:\n{}",
        broken.join("\n")
    );
}

/// Code that reads files of a repository, an agent or another container. It must use `core::files`.
const READS_FOREIGN_FILES: &[&str] = &[
    "crates/console/src",
    "crates/core/src/tasks",
    "crates/host/src/repository",
    "crates/preflight/src",
    "crates/worker/src/agents",
    "crates/worker/src/stages",
];
const UNBOUNDED_READS: &[&str] = &[
    "fs::read(",
    "fs::read_to_string(",
    "File::open(",
    "read_to_end(",
];

#[test]
fn foreign_files_are_read_with_a_limit() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let name = path.file_stem().unwrap().to_string_lossy();
        let test = name.ends_with("tests") || name == "situations" || name == "fixture";
        let foreign = READS_FOREIGN_FILES
            .iter()
            .any(|folder| path.starts_with(root().join(folder)));
        if test || !foreign {
            continue;
        }
        let code = source.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let found = UNBOUNDED_READS.iter().filter(|call| code.contains(**call));
        broken.extend(found.map(|call| format!("{}: {call}", path.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
