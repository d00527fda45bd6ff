//! Renders the documents of a task from its own text. Pure.

use std::fmt::Write;

use flightdeck_core::{
    runs::DOCUMENTS,
    tasks::{Status, Tag, Task},
};

/// Placeholder for an empty field of the plan.
const EMPTY: &str = "Not specified in the plan.";

/// Renders one of [`DOCUMENTS`]; returns an empty text for any other name.
pub(crate) fn render(document: &str, tag: &Tag, task: &Task) -> String {
    let [overview, prompt, design, acceptance] = DOCUMENTS;
    match document {
        name if name == overview => task_md(tag, task),
        name if name == prompt => prompt_md(tag, task),
        name if name == design => design_md(tag, task),
        name if name == acceptance => acceptance_md(task),
        _ => String::new(),
    }
}

fn task_md(tag: &Tag, task: &Task) -> String {
    let mut out = heading("Task", task);
    section(&mut out, "Overview", &task.description);
    let _ = writeln!(
        out,
        "| status | priority | tag |\n|---|---|---|\n| {} | {} | {} |\n",
        task.status.as_str(),
        task.priority.as_str(),
        cell(&tag.name)
    );
    section(&mut out, "Context", &context(tag, task));
    section(&mut out, "Implementation guidance", &task.details);
    if !task.subtasks.is_empty() {
        part(&mut out, "Subtasks");
        for subtask in &task.subtasks {
            let _ = writeln!(
                out,
                "### {}.{} {} ({})\n",
                task.id,
                subtask.id,
                line(&subtask.title),
                subtask.status.as_str()
            );
            for text in [&subtask.description, &subtask.details] {
                if !text.trim().is_empty() {
                    let _ = writeln!(out, "{}\n", text.trim());
                }
            }
        }
    }
    section(&mut out, "Testing", &task.test_strategy);
    finish(out)
}

fn prompt_md(tag: &Tag, task: &Task) -> String {
    let mut out = heading("Instructions for task", task);
    let _ = writeln!(
        out,
        "You implement task {} of this repository: {}. Work through the steps in order, and commit after each.\n",
        task.id,
        line(&task.title)
    );
    section(&mut out, "Goal", &task.description);
    section(&mut out, "Before you start", &before(tag, task));
    part(&mut out, "Steps");
    let mut steps = Vec::new();
    if task.subtasks.is_empty() {
        steps.push(format!(
            "Implement what `task.md` describes:\n{}",
            indent(or_placeholder(&task.details))
        ));
    }
    for subtask in &task.subtasks {
        let mut step = format!("**{}** ({}.{})", line(&subtask.title), task.id, subtask.id);
        for text in [&subtask.description, &subtask.details] {
            if !text.trim().is_empty() {
                step.push_str("\n\n");
                step.push_str(&indent(text));
            }
        }
        steps.push(step);
    }
    steps.push(format!(
        "Test it as the plan says:\n\n{}",
        indent(or_placeholder(&task.test_strategy))
    ));
    steps.push("Go through `acceptance-criteria.md`; every criterion must be met.".to_owned());
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "{}. {step}\n", number + 1);
    }
    section(
        &mut out,
        "Limits",
        "- Change only what this task needs.\n- Do not change `tasks.json`.\n- Where the plan leaves something open, choose the simplest option and write down why.",
    );
    finish(out)
}

fn design_md(tag: &Tag, task: &Task) -> String {
    let mut out = heading("Design of task", task);
    section(&mut out, "Purpose", &task.description);
    section(&mut out, "Design", &task.details);
    if !task.subtasks.is_empty() {
        part(&mut out, "Parts");
        out.push_str("| part | what it does | needs |\n|---|---|---|\n");
        for subtask in &task.subtasks {
            let absolute = |id: &String| {
                if id.contains('.') {
                    id.clone()
                } else {
                    format!("{}.{id}", task.id)
                }
            };
            let needs: Vec<_> = subtask.dependencies.iter().map(absolute).collect();
            let _ = writeln!(
                out,
                "| {}.{} {} | {} | {} |",
                task.id,
                subtask.id,
                cell(&subtask.title),
                cell(&subtask.description),
                if needs.is_empty() {
                    "-".to_owned()
                } else {
                    needs.join(", ")
                }
            );
        }
        out.push('\n');
    }
    section(&mut out, "Dependencies", &context(tag, task));
    section(&mut out, "Dependents", &dependents(tag, task));
    section(&mut out, "Verification", &task.test_strategy);
    finish(out)
}

fn acceptance_md(task: &Task) -> String {
    let mut out = heading("Acceptance criteria of task", task);
    part(&mut out, "Work");
    if task.subtasks.is_empty() {
        let _ = writeln!(out, "- [ ] {}", line(or_placeholder(&task.description)));
    }
    for subtask in &task.subtasks {
        let _ = writeln!(
            out,
            "- [ ] {}.{} {}",
            task.id,
            subtask.id,
            line(&subtask.title)
        );
    }
    out.push('\n');
    part(&mut out, "Tests");
    let criteria = sentences(&task.test_strategy);
    if criteria.is_empty() {
        let _ = writeln!(out, "{EMPTY}");
    }
    for criterion in criteria {
        let _ = writeln!(out, "- [ ] {criterion}");
    }
    out.push('\n');
    section(
        &mut out,
        "Always",
        "- [ ] The project builds and its tests pass\n- [ ] `tasks.json` is unchanged",
    );
    finish(out)
}

/// Renders the output of a code run: the offline agent cannot write code, so it lists what is to be done.
pub(crate) fn checklist(task: &Task) -> String {
    let mut out = heading("Checklist for task", task);
    out.push_str(
        "The offline agent does not write code. This is what the plan asks for, for a developer to work through.\n\n",
    );
    section(&mut out, "Goal", &task.description);
    part(&mut out, "To do");
    if task.subtasks.is_empty() {
        let _ = writeln!(out, "- [ ] {}", line(&task.title));
    }
    for subtask in &task.subtasks {
        let mark = if subtask.status == Status::Done {
            "x"
        } else {
            " "
        };
        let _ = writeln!(
            out,
            "- [{mark}] {}.{} {}",
            task.id,
            subtask.id,
            line(&subtask.title)
        );
    }
    for criterion in sentences(&task.test_strategy) {
        let _ = writeln!(out, "- [ ] {criterion}");
    }
    out.push('\n');
    section(&mut out, "Details", &task.details);
    finish(out)
}

fn heading(what: &str, task: &Task) -> String {
    format!("# {what} {}: {}\n\n", task.id, line(&task.title))
}

/// Writes the heading of a section.
fn part(out: &mut String, title: &str) {
    let _ = writeln!(out, "## {title}\n");
}

/// Writes a section with one text.
fn section(out: &mut String, title: &str, text: &str) {
    part(out, title);
    let _ = writeln!(out, "{}\n", or_placeholder(text));
}

fn or_placeholder(text: &str) -> &str {
    match text.trim() {
        "" => EMPTY,
        text => text,
    }
}

/// Lists the tasks this one depends on.
fn context(tag: &Tag, task: &Task) -> String {
    let lines: Vec<_> = task
        .dependencies
        .iter()
        .map(|id| match tag.task(id) {
            Some(other) => format!(
                "- Task {id}, {} ({}): {}",
                line(&other.title),
                other.status.as_str(),
                line(or_placeholder(&other.description))
            ),
            None => format!("- Task {id}, not in the plan."),
        })
        .collect();
    if lines.is_empty() {
        "This task has no dependencies.".to_owned()
    } else {
        format!("This task depends on:\n\n{}", lines.join("\n"))
    }
}

fn dependents(tag: &Tag, task: &Task) -> String {
    let lines: Vec<_> = tag
        .tasks
        .iter()
        .filter(|other| other.dependencies.contains(&task.id))
        .map(|other| format!("- Task {}, {}", other.id, line(&other.title)))
        .collect();
    if lines.is_empty() {
        "No other task depends on this one.".to_owned()
    } else {
        lines.join("\n")
    }
}

fn before(tag: &Tag, task: &Task) -> String {
    let mut lines = vec![
        "- Read `task.md`, `design-spec.md` and `acceptance-criteria.md` beside this file."
            .to_owned(),
    ];
    let open = |other: &&Task| !matches!(other.status, Status::Done);
    for other in task
        .dependencies
        .iter()
        .filter_map(|id| tag.task(id))
        .filter(open)
    {
        lines.push(format!(
            "- Task {} ({}) is a dependency and is {}: check how much of it exists.",
            other.id,
            line(&other.title),
            other.status.as_str()
        ));
    }
    lines.join("\n")
}

/// Splits text into checklist items: its lines if there are several, else its sentences.
fn sentences(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let bare = |point: &str| {
        let point = point.trim_start_matches(['-', '*', '•', ' ']);
        let rest = point.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = match rest.strip_prefix(['.', ')']) {
            Some(rest) if rest.starts_with(' ') && rest.len() < point.len() => rest,
            _ => point,
        };
        rest.trim().trim_end_matches('.').to_owned()
    };
    let points: Vec<String> = match lines.as_slice() {
        [only] => only.split_inclusive(". ").map(bare).collect(),
        several => several.iter().map(|line| bare(line)).collect(),
    };
    points
        .into_iter()
        .filter(|point| !point.is_empty())
        .collect()
}

/// Collapses text to one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collapses text to one line and escapes it for a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

fn indent(text: &str) -> String {
    let lines = text.trim().lines().map(|line| match line.trim_end() {
        "" => String::new(),
        line => format!("   {line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn finish(mut out: String) -> String {
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Tag {
        let text = br#"{"v1":{"tasks":[
            {"id":1,"title":"Setup","description":"Make the repository.","status":"done"},
            {"id":2,"title":"Define | protobufs","description":"Messages and services.","status":"pending","priority":"high",
             "dependencies":[1],"details":"Use tonic.\nVersion the package.","testStrategy":"Compile with protoc. Check round trips.",
             "subtasks":[{"id":1,"title":"Messages","description":"Task and List.","status":"done"},{"id":2,"title":"Services","dependencies":[1],"details":"CRUD."}]},
            {"id":3,"title":"Server","dependencies":[2]}
        ]}}"#;
        flightdeck_core::tasks::read(text).unwrap().tags.remove(0)
    }

    #[test]
    fn documents_contain_the_text_of_the_task() {
        let tag = plan();
        let task = tag.task("2").unwrap();
        for (document, words) in [
            (
                "task.md",
                &[
                    "# Task 2: Define | protobufs\n",
                    "| pending | high | v1 |",
                    "Task 1, Setup (done): Make the repository.",
                    "Version the package.",
                    "### 2.1 Messages (done)",
                ][..],
            ),
            (
                "prompt.md",
                &[
                    "1. **Messages** (2.1)",
                    "2. **Services** (2.2)\n\n   CRUD.",
                    "3. Test it",
                    "4. Go through",
                ],
            ),
            (
                "design-spec.md",
                &["| 2.2 Services |  | 2.1 |", "- Task 3, Server"],
            ),
            (
                "acceptance-criteria.md",
                &[
                    "- [ ] 2.2 Services",
                    "- [ ] Compile with protoc\n",
                    "- [ ] Check round trips\n",
                ],
            ),
        ] {
            let text = render(document, &tag, task);
            for word in words {
                assert!(text.contains(word), "{document} without {word:?}:\n{text}");
            }
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        }
        assert!(checklist(task).contains("- [x] 2.1 Messages\n- [ ] 2.2 Services"));
    }

    #[test]
    fn renders_four_documents_for_an_empty_task() {
        let tag = Tag {
            name: "master".into(),
            tasks: vec![Task {
                id: "7".into(),
                ..Task::default()
            }],
        };
        for document in DOCUMENTS {
            let text = render(document, &tag, &tag.tasks[0]);
            assert!(text.contains(EMPTY), "{document}:\n{text}");
        }
    }

    #[test]
    fn splits_a_test_strategy_into_items() {
        for (text, points) in [
            ("One. Two.", &["One", "Two"][..]),
            ("- a\n- b\n", &["a", "b"]),
            ("1. first\n2) second", &["first", "second"]),
            ("3.5 seconds at most", &["3.5 seconds at most"]),
            ("", &[]),
        ] {
            assert_eq!(sentences(text), points, "{text:?}");
        }
    }
}
