//! The layers of `src/lib.rs` hold: each room uses only rooms above its own line.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Each line may use the lines above it. Rooms of one line may use each other only where the line says so.
const LAYERS: &[(&[&str], Siblings)] = &[
    (&["files"], Siblings::Apart),
    (&["text"], Siblings::Apart),
    (&["telemetry"], Siblings::Apart),
    (&["proxy"], Siblings::Apart),
    (&["resources"], Siblings::Apart),
    (&["runs", "tasks", "transcript"], Siblings::Together),
    (
        &[
            "settings",
            "templates",
            "repository",
            "preflight",
            "cluster",
            "ledger",
            "forge",
            "agents",
            "embedded",
        ],
        Siblings::Together,
    ),
    (&["verbs"], Siblings::Apart),
    (&["controller", "stages", "console", "cli"], Siblings::Apart),
    (&["daemon", "demo"], Siblings::Together),
    (&["main"], Siblings::Apart),
];

#[derive(PartialEq)]
enum Siblings {
    Together,
    Apart,
}

/// Outside crates that a room must never name.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &["files", "text", "resources", "runs", "tasks", "transcript"],
        &["tokio", "ratatui", "crossterm", "git2", "std::process"],
    ),
    (&["runs", "tasks", "transcript"], &["kube"]),
    (&["embedded"], &["ratatui", "crossterm"]),
];

/// Rooms inside the console that must be pure: they never meet the cluster.
const PURE_CONSOLE: &[&str] = &["view", "layout", "widgets", "panels", "overlays"];

/// Rooms that read what a repository, an agent or another container wrote: only through `files`, never with these.
const READING_OTHERS: &[&str] = &[
    "agents",
    "console",
    "preflight",
    "repository",
    "stages",
    "tasks",
];
const UNBOUNDED: &[&str] = &[
    "fs::read(",
    "fs::read_to_string(",
    "File::open(",
    "read_to_end(",
];

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
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

/// The room of a file: the first part of its path below `src`.
fn room(path: &Path) -> String {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every `crate::room` (or `flightdeck::room`) a source names, outside comments; a braced list counts for each of its heads.
fn used_rooms(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", "flightdeck::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let mut depth = 1;
                let mut word = String::new();
                let mut head = true;
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => head = true,
                        c if depth == 1 && head && (c.is_alphanumeric() || c == '_') => {
                            word.push(c);
                        }
                        c if depth == 1 && !c.is_whitespace() => head = false,
                        _ => {}
                    }
                    if (!head || depth == 0 || c == ',') && !word.is_empty() {
                        found.push(std::mem::take(&mut word));
                    }
                    if depth == 0 {
                        break;
                    }
                }
            } else {
                found.push(
                    rest.chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect(),
                );
            }
        }
    }
    found
}

#[test]
fn each_room_uses_only_rooms_above_it() {
    let level: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(index, (rooms, _))| rooms.iter().map(move |room| (*room, index)))
        .collect();
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let own = room(&path);
        if own == "lib" {
            continue;
        }
        let Some(&own_level) = level.get(own.as_str()) else {
            broken.push(format!(
                "{}: the room `{own}` is in no layer",
                path.display()
            ));
            continue;
        };
        for used in used_rooms(&source) {
            let Some(&used_level) = level.get(used.as_str()) else {
                continue;
            };
            let allowed = used == own
                || used_level < own_level
                || (used_level == own_level && LAYERS[own_level].1 == Siblings::Together);
            if !allowed {
                broken.push(format!("{}: `{own}` uses `{used}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pure_rooms_name_no_outside_world() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let own = room(&path);
        let code: String = source
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .to_owned();
        for (rooms, crates) in FORBIDDEN {
            if !rooms.contains(&own.as_str()) {
                continue;
            }
            for name in *crates {
                let named = code.lines().any(|line| {
                    !line.trim_start().starts_with("//")
                        && (line.contains(&format!("{name}::"))
                            || line.contains(&format!("use {name}")))
                });
                if named {
                    broken.push(format!("{}: `{own}` names `{name}`", path.display()));
                }
            }
        }
        let inner = path
            .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"))
            .ok();
        let inner = inner.and_then(|inner| inner.components().next());
        let inner = inner.map(|first| {
            first
                .as_os_str()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned()
        });
        if inner.is_some_and(|inner| PURE_CONSOLE.contains(&inner.as_str())) {
            for used in ["cluster", "embedded"] {
                if used_rooms(&code).iter().any(|name| name == used) {
                    broken.push(format!(
                        "{}: a pure room of the console uses `{used}`",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Words by which text reaches a terminal, with the files that may hold them: each makes text harmless, or writes none of others.
const WAYS_TO_A_TERMINAL: &[(&[&str], &[&str])] = &[
    (
        &[
            "put_text",
            "set_string",
            "set_stringn",
            "set_line",
            "set_span",
            "set_symbol",
            "set_char",
            "Paragraph",
            "Span::",
            "Line::from",
            "Line::raw",
        ],
        &[
            "console/draw.rs",
            // Draws what `lay` laid out, which makes it harmless.
            "console/widgets/text_view/draw.rs",
        ],
    ),
    (
        &[".render("],
        &[
            // An area to type in, which shows no control character.
            "console/overlays/form/view.rs",
            // Empties what lies below a window.
            "console/overlays.rs",
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
            "cli/output.rs",
            // Base64, for the clipboard.
            "console/perform.rs",
            // Our own sequences, and notifications made harmless.
            "console/terminal.rs",
            // An address we listen on; the log of a server.
            "main.rs",
            // What runs in a container writes its log, which no terminal reads as it is.
            "agents.rs",
            "agents/template.rs",
            "embedded/shim.rs",
            "stages.rs",
            "stages/agent.rs",
        ],
    ),
];

#[test]
fn each_way_to_a_terminal_makes_text_harmless() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let below = path.to_string_lossy().replace('\\', "/");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let tests = below.ends_with("tests.rs") || below.ends_with("schedules.rs");
        for (words, files) in WAYS_TO_A_TERMINAL.iter().filter(|_| !tests) {
            // Templates are rendered, too, and names of lines of other kinds begin like these.
            let drawing = words != &WAYS_TO_A_TERMINAL[2].0;
            let allowed = drawing && !below.contains("/src/console/")
                || files
                    .iter()
                    .any(|file| below.ends_with(&format!("src/{file}")));
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
        "text goes through console/draw.rs or cli/output.rs:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_reader_of_uses_sees_what_is_used() {
    let source =
        "use crate::{runs::{Run, Stage}, text};\n// crate::console\nfn f() { crate::verbs::x() }";
    assert_eq!(used_rooms(source), ["runs", "text", "verbs"]);
}

#[test]
fn files_of_others_are_read_with_a_limit() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        let name = path.file_stem().unwrap().to_string_lossy();
        let test = name.ends_with("tests") || name == "situations" || name == "fixture";
        if test || !READING_OTHERS.contains(&room(&path).as_str()) {
            continue;
        }
        let code = source.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let found = UNBOUNDED.iter().filter(|call| code.contains(**call));
        broken.extend(found.map(|call| format!("{}: {call}", path.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
