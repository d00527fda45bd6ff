//! The command table: what can be asked for, where, and when it applies. Footer, help, palette and keymap are drawn from it.

use super::model::Model;

/// Where a key means something. A panel or an overlay answers in a few of these, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    Global,
    List,
    Tasks,
    Runs,
    Preflight,
    /// The Detail panel, whatever its tab.
    Detail,
    /// A tab that shows a text.
    Text,
    /// A tab that lists things: steps, files.
    Items,
    /// Any overlay.
    Overlay,
    Confirm,
    Form,
    Cleanup,
    /// A filter being typed below a list.
    Filter,
    /// What a log comes from.
    Sources,
}

impl Context {
    /// In the order help shows them.
    pub const ALL: [Self; 14] = [
        Self::Global,
        Self::List,
        Self::Tasks,
        Self::Runs,
        Self::Preflight,
        Self::Detail,
        Self::Text,
        Self::Items,
        Self::Overlay,
        Self::Confirm,
        Self::Form,
        Self::Cleanup,
        Self::Sources,
        Self::Filter,
    ];

    /// Its name in `config/keymap.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::List => "list",
            Self::Tasks => "tasks",
            Self::Runs => "runs",
            Self::Preflight => "preflight",
            Self::Detail => "detail",
            Self::Text => "text",
            Self::Items => "items",
            Self::Overlay => "overlay",
            Self::Confirm => "confirm",
            Self::Form => "form",
            Self::Cleanup => "cleanup",
            Self::Filter => "filter",
            Self::Sources => "sources",
        }
    }

    /// Its heading in help.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::List => "Lists",
            Self::Tasks => "Tasks",
            Self::Runs => "Runs",
            Self::Preflight => "Pre-flight",
            Self::Detail => "Detail",
            Self::Text => "Text and logs",
            Self::Items => "Steps and files",
            Self::Overlay => "Windows",
            Self::Confirm => "Questions",
            Self::Form => "Launch form",
            Self::Cleanup => "Clean up",
            Self::Filter => "Filter line",
            Self::Sources => "Sources of a log",
        }
    }

    /// The context of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|context| context.name() == name)
    }

    /// Every name, for an error.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join("`, `")
    }
}

/// One line of the table.
pub struct Row {
    pub command: Command,
    /// Its name in `config/keymap.toml`; the same wherever it applies.
    pub name: &'static str,
    pub context: Context,
    /// A word or two for the footer; empty when the footer never offers it.
    pub hint: &'static str,
    /// One sentence for help and palette.
    pub doc: &'static str,
    /// Whether it would do something here and now.
    pub applies: fn(&Model) -> bool,
}

impl Row {
    /// Whether it only moves, and so has no place in a palette.
    #[must_use]
    pub const fn movement(&self) -> bool {
        use Command as C;
        matches!(
            self.command,
            C::Up
                | C::Down
                | C::Left
                | C::Right
                | C::Top
                | C::Bottom
                | C::HalfUp
                | C::HalfDown
                | C::PageUp
                | C::PageDown
        )
    }
}

macro_rules! commands {
    ($($command:ident $name:literal $context:ident $hint:literal $doc:literal $($applies:path)?;)*) => {
        /// Every line, in the order footer and help show them.
        pub const COMMANDS: &[Row] = &[$(Row {
            command: Command::$command,
            name: $name,
            context: Context::$context,
            hint: $hint,
            doc: $doc,
            applies: commands!(@applies $($applies)?),
        }),*];
    };
    (@applies) => { always };
    (@applies $applies:path) => { $applies };
}

/// Something a key or the palette can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    FocusTasks,
    FocusRuns,
    FocusPreflight,
    FocusDetail,
    NextPanel,
    PreviousPanel,
    NextTab,
    PreviousTab,
    Zoom,
    Palette,
    Help,
    Back,
    Quit,
    Interrupt,
    Suspend,
    Refresh,
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    HalfUp,
    HalfDown,
    PageUp,
    PageDown,
    Filter,
    Mark,
    MarkAll,
    Range,
    Open,
    New,
    Copy,
    Sort,
    Cleanup,
    Tag,
    Edit,
    Expand,
    Findings,
    Dependencies,
    SetStatus,
    CommandLog,
    Complete,
    Logs,
    Describe,
    Yaml,
    OpenPullRequest,
    Merge,
    Stop,
    Retry,
    AddContext,
    Delete,
    Deleted,
    Everyone,
    Fix,
    Recheck,
    Search,
    SearchNext,
    SearchPrevious,
    FilterLines,
    Follow,
    Wrap,
    Timestamps,
    Raw,
    SinceEver,
    SinceMinute,
    SinceFiveMinutes,
    SinceQuarter,
    SinceHour,
    Stages,
    Sources,
    Previous,
    NextError,
    Save,
    SaveJson,
    Accept,
    Cancel,
    Yes,
    No,
    NextField,
    PreviousField,
    Launch,
}

impl Command {
    /// The command of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let row = COMMANDS.iter().find(|row| row.name == name)?;
        Some(row.command)
    }

    /// Its line in a context.
    #[must_use]
    pub fn row(self, context: Context) -> Option<&'static Row> {
        COMMANDS
            .iter()
            .find(|row| row.command == self && row.context == context)
    }
}

commands! {
    New "new" List "new run" "Launch a run for the selected or marked tasks." Model::can_launch;
    Open "open" Tasks "open" "Show the task beside the list." Model::has_task;
    Open "open" Runs "open" "Show the run beside the list." Model::has_run;
    Fix "fix" Preflight "fix" "Mend what the check found, after showing the exact commands; explain it when there is no fix." Model::has_check;
    Describe "describe" Preflight "explain" "Show why the check matters, and the plan against the remote's task by task." Model::has_check;
    Recheck "recheck" Preflight "recheck" "Run every check again and ask the remote.";
    Logs "logs" Runs "logs" "Follow the run's log." Model::has_run;
    OpenPullRequest "open-pull-request" Runs "open PR" "Open the pull request in the browser." Model::has_pull_request;
    Merge "merge" Runs "merge home" "Show what the run's branch changes, then bring it into the current branch." Model::can_merge;
    Stop "stop" Runs "stop" "Stop the run; its log stays." Model::can_stop;
    Retry "retry" Runs "retry" "Start a new attempt of a finished run." Model::can_retry;
    AddContext "add-context" Runs "add context" "Tell the agent more and start a new attempt of a finished run." Model::can_add_context;
    Mark "mark" List "mark" "Mark the line; what is marked is what a command acts on." Model::can_mark;
    Expand "expand" Tasks "subtasks" "Show or hide the subtasks." Model::has_subtasks;
    Delete "delete" Runs "delete" "Delete the run and all it owns; its log stays in the ledger." Model::can_delete;
    Cleanup "cleanup" List "clean up" "Choose finished, stuck and orphaned runs to delete." Model::can_clean;
    SetStatus "set-status" Tasks "status" "Give the task another status in tasks.json; the old one again undoes it." Model::has_task;
    Dependencies "dependencies" Tasks "" "What the task waits for and why, and what waits for it; Enter goes there." Model::has_task;
    Tag "tag" Tasks "" "Choose the Task Master tag.";
    Findings "findings" Tasks "findings" "List what is wrong with the plan's file, each with its place." Model::has_findings;
    Edit "edit" Tasks "" "Open tasks.json in your editor at the task." Model::has_task;
    Findings "findings" Runs "findings" "List what is wrong with the runs under way, each with the key that helps." Model::has_unwell;
    Describe "describe" Runs "" "Show the run's events and conditions." Model::has_run;
    Yaml "yaml" Runs "" "Show the run as YAML." Model::has_run;
    Everyone "everyone" Runs "" "Show the runs of every repository, or only this one's.";
    Deleted "deleted" Runs "deleted" "Show or hide the runs that are deleted; their logs can still be read.";
    Filter "filter" List "filter" "Show only lines that match; a leading ! inverts, column:word looks in one column." Model::can_mark;
    Range "range" List "" "Mark from here to where you move.";
    Sort "sort" List "" "Sort by the next column.";
    Copy "copy" List "" "Copy the name to the clipboard.";
    Up "up" List "" "Up.";
    Down "down" List "" "Down.";
    Top "top" List "" "To the first line.";
    Bottom "bottom" List "" "To the last line.";
    HalfUp "half-up" List "" "Half a page up.";
    HalfDown "half-down" List "" "Half a page down.";
    PageUp "page-up" List "" "A page up.";
    PageDown "page-down" List "" "A page down.";

    Search "search" Text "search" "Search, keeping what surrounds a match.";
    SearchNext "search-next" Text "" "To the next match.";
    SearchPrevious "search-previous" Text "" "To the previous match.";
    FilterLines "filter-lines" Text "" "Show only lines that match; a leading ! hides them instead.";
    Follow "follow" Text "follow" "Stay at the newest line." Model::can_follow;
    Wrap "wrap" Text "wrap" "Wrap long lines.";
    Timestamps "timestamps" Text "" "Show each line's time.";
    Raw "raw" Text "raw" "Show the bytes as they came, or what they say; of a file how it differs from what would be rendered now." Model::has_raw;
    SinceEver "since-ever" Text "" "Show everything, however old.";
    SinceMinute "since-minute" Text "" "Show only the last minute.";
    SinceFiveMinutes "since-5-minutes" Text "" "Show only the last 5 minutes.";
    SinceQuarter "since-15-minutes" Text "" "Show only the last 15 minutes.";
    SinceHour "since-hour" Text "" "Show only the last hour.";
    Stages "stages" Text "stages" "Show one stage of the run after the other, or all." Model::shows_log;
    Sources "sources" Text "sources" "List what the log comes from, to show or hide each part by itself." Model::shows_log;
    Previous "previous" Text "earlier" "Show what was written the time before: by an earlier attempt, or before a container was started anew; then the one before that, then all." Model::has_earlier_log;
    Mark "mark" Text "" "Draw a line under what has been seen.";
    NextError "next-error" Text "" "To the next error.";
    Save "save" Text "" "Save to a file, as it was written.";
    SaveJson "save-json" Text "" "Save to a file as JSON lines, each with its time and where it comes from." Model::shows_log;
    Up "up" Text "" "Up.";
    Down "down" Text "" "Down.";
    Left "left" Text "" "To the left.";
    Right "right" Text "" "To the right.";
    Top "top" Text "" "To the beginning.";
    Bottom "bottom" Text "" "To the end.";
    HalfUp "half-up" Text "" "Half a page up.";
    HalfDown "half-down" Text "" "Half a page down.";
    PageUp "page-up" Text "" "A page up.";
    PageDown "page-down" Text "" "A page down.";

    Open "open" Items "open" "Open a step, or read a file.";
    Search "search" Items "search" "Search all steps; what hides a match is opened." Model::shows_timeline;
    SearchNext "search-next" Items "" "To the next match." Model::shows_timeline;
    SearchPrevious "search-previous" Items "" "To the previous match." Model::shows_timeline;
    Raw "raw" Items "difference" "Show how a file differs from what would be rendered now." Model::has_raw;
    Follow "follow" Items "follow" "Stay at the newest step." Model::can_follow;
    Expand "expand" Items "edits" "Show what every edit of the agent changes, or fold the edits again." Model::shows_timeline;
    NextError "next-error" Items "" "To the next step that went wrong." Model::shows_timeline;
    Up "up" Items "" "Up.";
    Down "down" Items "" "Down.";
    Top "top" Items "" "To the first.";
    Bottom "bottom" Items "" "To the last.";
    HalfUp "half-up" Items "" "Half a page up.";
    HalfDown "half-down" Items "" "Half a page down.";
    PageUp "page-up" Items "" "A page up.";
    PageDown "page-down" Items "" "A page down.";

    Fix "fix" Detail "fix" "Mend what the check found, after showing the exact commands." Model::shows_check;
    Copy "copy" Detail "" "Copy what is on the screen.";
    PreviousTab "previous-tab" Detail "" "To the previous tab.";
    OpenPullRequest "open-pull-request" Detail "open PR" "Open the pull request in the browser." Model::has_pull_request;
    Merge "merge" Detail "merge home" "Show what the run's branch changes, then bring it into the current branch." Model::can_merge;
    NextTab "next-tab" Detail "next tab" "To the next tab.";
    Stop "stop" Detail "stop" "Stop the run; its log stays." Model::can_stop;
    Retry "retry" Detail "" "Start a new attempt of a finished run." Model::can_retry;
    AddContext "add-context" Detail "" "Tell the agent more and start a new attempt of a finished run." Model::can_add_context;

    Palette "palette" Global "command" "Find a command by its name.";
    Help "help" Global "help" "Every key that means something here.";
    FocusTasks "focus-tasks" Global "" "To the tasks.";
    FocusRuns "focus-runs" Global "" "To the runs.";
    FocusPreflight "focus-preflight" Global "" "To the pre-flight checks.";
    FocusDetail "focus-detail" Global "" "To the details.";
    NextPanel "next-panel" Global "" "To the next panel.";
    PreviousPanel "previous-panel" Global "" "To the previous panel.";
    NextTab "next-tab" Global "" "To the next tab of the details.";
    PreviousTab "previous-tab" Global "" "To the previous tab of the details.";
    Zoom "zoom" Global "" "Give the panel the whole screen, or give it back.";
    Refresh "refresh" Global "" "Read the repository again and ask the remote.";
    Back "back" Global "" "Close, clear or step back.";
    CommandLog "command-log" Global "" "Every git command that was run for you: when, how long, how it ended, what it said.";
    Suspend "suspend" Global "" "Back to the shell; `fg` returns here.";
    Quit "quit" Global "" "Quit; runs go on without the console.";
    Interrupt "interrupt" Global "" "Quit; pressed twice, at once.";

    Accept "accept" Overlay "choose" "Take what is selected.";
    Cancel "cancel" Overlay "close" "Close without doing anything.";
    Up "up" Overlay "" "Up.";
    Down "down" Overlay "" "Down.";
    PageUp "page-up" Overlay "" "A page up.";
    PageDown "page-down" Overlay "" "A page down.";
    Top "top" Overlay "" "To the beginning.";
    Bottom "bottom" Overlay "" "To the end.";

    Yes "yes" Confirm "yes" "Do it.";
    No "no" Confirm "no" "Leave it.";
    NextField "next-field" Confirm "" "To the other answer.";
    PreviousField "previous-field" Confirm "" "To the other answer.";

    NextField "next-field" Form "next" "To the next field.";
    PreviousField "previous-field" Form "" "To the previous field.";
    Left "left" Form "" "The previous choice.";
    Right "right" Form "change" "The next choice.";
    Launch "launch" Form "launch" "Launch, after a last question.";

    Mark "mark" Cleanup "mark" "Mark or unmark for deletion.";
    MarkAll "mark-all" Cleanup "all" "Mark all, or none.";
    Everyone "everyone" Cleanup "everyone's" "Look at the whole namespace, or at this repository only.";

    Mark "mark" Sources "show or hide" "Show or hide the source.";
    Accept "accept" Sources "only this" "Show only this source, and close.";
    MarkAll "mark-all" Sources "all" "Show every source.";

    Complete "complete" Filter "complete" "Complete the word: the name of a column, or one of its values.";
}

const fn always(_: &Model) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_command_has_a_doc_and_one_name() {
        let mut names: HashMap<Command, &str> = HashMap::new();
        for row in COMMANDS {
            assert!(row.doc.ends_with('.'), "{}: {}", row.name, row.doc);
            assert!(row.hint.chars().count() <= 12, "{}", row.hint);
            assert_eq!(*names.entry(row.command).or_insert(row.name), row.name);
        }
        let mut seen: HashMap<&str, Command> = HashMap::new();
        for (command, name) in names {
            assert_eq!(seen.insert(name, command), None, "{name}");
        }
    }

    #[test]
    fn a_command_has_one_row_in_a_context() {
        for (at, row) in COMMANDS.iter().enumerate() {
            let again = COMMANDS[at + 1..]
                .iter()
                .any(|other| (other.command, other.context) == (row.command, row.context));
            assert!(!again, "{} twice in [{}]", row.name, row.context.name());
        }
    }
}
