//! The command table: each command with its contexts and when it applies. The footer, help, palette and keymap derive from it.

mod context;

pub use context::Context;

/// A row of the command table.
pub struct CommandRow {
    pub command: Command,
    /// The name in `config/keymap.toml`; the same in every context.
    pub name: &'static str,
    pub context: Context,
    /// A word or two for the footer; empty if the footer does not show the command.
    pub hint: &'static str,
    /// Short description for help, palette and README.
    pub doc: &'static str,
    pub applies: Condition,
}

impl CommandRow {
    /// Whether the command only moves. The palette leaves these out.
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

/// When a command has an effect; `Model::meets` evaluates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// The plan has tasks.
    CanLaunch,
    /// The list in focus supports filters and marks, and is not empty.
    CanMark,
    HasTask,
    HasSubtasks,
    /// The plan file has problems.
    HasFindings,
    HasCheck,
    /// The open tab explains a check.
    ShowsCheck,
    HasRun,
    HasUnhealthyRuns,
    HasPullRequest,
    /// The run pushed a branch.
    CanMerge,
    CanStop,
    CanRetry,
    CanAddContext,
    CanDelete,
    /// There are runs.
    CanCleanUp,
    /// The open tab may still grow.
    CanFollow,
    /// The open tab has a raw form.
    HasRaw,
    ShowsLog,
    ShowsTimeline,
    /// The log has earlier attempts.
    HasPreviousLog,
}

macro_rules! commands {
    ($($command:ident $name:literal $context:ident $hint:literal $doc:literal $($condition:ident)?;)*) => {
        /// All rows, in the order the footer and help show them.
        pub const COMMANDS: &[CommandRow] = &[$(CommandRow {
            command: Command::$command,
            name: $name,
            context: Context::$context,
            hint: $hint,
            doc: $doc,
            applies: commands!(@condition $($condition)?),
        }),*];
    };
    (@condition) => { Condition::Always };
    (@condition $condition:ident) => { Condition::$condition };
}

/// An action that a key or the palette can trigger.
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
    StartOver,
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
    /// Looks up a command by name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let row = COMMANDS.iter().find(|row| row.name == name)?;
        Some(row.command)
    }

    /// The row of this command in a context.
    #[must_use]
    pub fn row(self, context: Context) -> Option<&'static CommandRow> {
        COMMANDS
            .iter()
            .find(|row| row.command == self && row.context == context)
    }
}

commands! {
    New "new" List "new run" "Launch a run for the selected or marked tasks" CanLaunch;
    Open "open" Tasks "open" "Show the task in the Detail panel" HasTask;
    Open "open" Runs "open" "Show the run in the Detail panel" HasRun;
    Fix "fix" Preflight "fix" "Fix the problem, after showing the exact commands; explain it if there is no fix" HasCheck;
    Describe "describe" Preflight "explain" "Explain the check and compare the plan with the remote's" HasCheck;
    Recheck "recheck" Preflight "recheck" "Run all checks again, contacting the remote";
    Logs "logs" Runs "logs" "Follow the run's log" HasRun;
    OpenPullRequest "open-pull-request" Runs "open PR" "Open the pull request in the browser" HasPullRequest;
    Merge "merge" Runs "merge" "Show the changes of the run's branch and merge it into the current branch" CanMerge;
    Stop "stop" Runs "stop" "Stop the run; its log is kept" CanStop;
    Retry "retry" Runs "retry" "Start a new attempt of a finished run" CanRetry;
    StartOver "start-over" Runs "" "Start a new attempt from the source branch" CanRetry;
    AddContext "add-context" Runs "add context" "Give the agent more context in a new attempt" CanAddContext;
    Mark "mark" List "select" "Select for bulk actions" CanMark;
    Expand "expand" Tasks "subtasks" "Show or hide the subtasks" HasSubtasks;
    Delete "delete" Runs "delete" "Delete the run and its objects; its log stays in the ledger" CanDelete;
    Cleanup "cleanup" List "clean up" "Select finished, stuck and orphaned runs to delete" CanCleanUp;
    SetStatus "set-status" Tasks "status" "Set the task's status in tasks.json" HasTask;
    Dependencies "dependencies" Tasks "" "List what blocks the task and what it blocks" HasTask;
    Tag "tag" Tasks "" "Choose the Task Master tag";
    Findings "findings" Tasks "findings" "List the problems of the plan file" HasFindings;
    Edit "edit" Tasks "" "Open tasks.json in your editor at the task" HasTask;
    Findings "findings" Runs "health" "List unhealthy runs, each with the key that helps" HasUnhealthyRuns;
    Describe "describe" Runs "" "Show the run's events and conditions" HasRun;
    Yaml "yaml" Runs "" "Show the run as YAML" HasRun;
    Everyone "everyone" Runs "" "Toggle runs of all repositories";
    Deleted "deleted" Runs "deleted" "Toggle deleted runs; their logs can still be read";
    Filter "filter" List "filter" "Filter lines; a leading ! inverts, column:word matches one column" CanMark;
    Range "range" List "" "Select a range from here";
    Sort "sort" List "" "Sort by the next column";
    Copy "copy" List "" "Copy the name";
    Up "up" List "" "Up";
    Down "down" List "" "Down";
    Top "top" List "" "First line";
    Bottom "bottom" List "" "Last line";
    HalfUp "half-up" List "" "Half a page up";
    HalfDown "half-down" List "" "Half a page down";
    PageUp "page-up" List "" "Page up";
    PageDown "page-down" List "" "Page down";

    Search "search" Text "search" "Search";
    SearchNext "search-next" Text "" "Next match";
    SearchPrevious "search-previous" Text "" "Previous match";
    FilterLines "filter-lines" Text "" "Show only matching lines; a leading ! hides them instead";
    Follow "follow" Text "follow" "Follow the newest line" CanFollow;
    Wrap "wrap" Text "wrap" "Toggle wrapping of long lines";
    Timestamps "timestamps" Text "" "Toggle timestamps";
    Raw "raw" Text "raw" "Toggle raw / rendered; for a file, its changes against the preview" HasRaw;
    SinceEver "since-ever" Text "" "Show all lines";
    SinceMinute "since-minute" Text "" "Show the last minute";
    SinceFiveMinutes "since-5-minutes" Text "" "Show the last 5 minutes";
    SinceQuarter "since-15-minutes" Text "" "Show the last 15 minutes";
    SinceHour "since-hour" Text "" "Show the last hour";
    Stages "stages" Text "stages" "Show the next stage only, or all" ShowsLog;
    Sources "sources" Text "sources" "List the log's sources, to show or hide each" ShowsLog;
    Previous "previous" Text "previous" "Previous attempt's log" HasPreviousLog;
    Mark "mark" Text "" "Draw a line below what has been read";
    NextError "next-error" Text "" "Next error";
    Save "save" Text "" "Save to a file";
    SaveJson "save-json" Text "" "Save to a file as JSON lines, with times and sources" ShowsLog;
    Up "up" Text "" "Up";
    Down "down" Text "" "Down";
    Left "left" Text "" "Left";
    Right "right" Text "" "Right";
    Top "top" Text "" "First line";
    Bottom "bottom" Text "" "Last line";
    HalfUp "half-up" Text "" "Half a page up";
    HalfDown "half-down" Text "" "Half a page down";
    PageUp "page-up" Text "" "Page up";
    PageDown "page-down" Text "" "Page down";

    Open "open" Items "open" "Unfold the step, or open the file";
    Search "search" Items "search" "Search (expands folded steps)" ShowsTimeline;
    SearchNext "search-next" Items "" "Next match" ShowsTimeline;
    SearchPrevious "search-previous" Items "" "Previous match" ShowsTimeline;
    Raw "raw" Items "changes" "Show the file's changes against the preview" HasRaw;
    Follow "follow" Items "follow" "Follow the newest step" CanFollow;
    Expand "expand" Items "edits" "Unfold or fold all edits" ShowsTimeline;
    NextError "next-error" Items "" "Next failed step" ShowsTimeline;
    Up "up" Items "" "Up";
    Down "down" Items "" "Down";
    Top "top" Items "" "First";
    Bottom "bottom" Items "" "Last";
    HalfUp "half-up" Items "" "Half a page up";
    HalfDown "half-down" Items "" "Half a page down";
    PageUp "page-up" Items "" "Page up";
    PageDown "page-down" Items "" "Page down";

    Fix "fix" Detail "fix" "Fix the problem, after showing the exact commands" ShowsCheck;
    Copy "copy" Detail "" "Copy what is shown";
    PreviousTab "previous-tab" Detail "" "Previous tab";
    OpenPullRequest "open-pull-request" Detail "open PR" "Open the pull request in the browser" HasPullRequest;
    Merge "merge" Detail "merge" "Show the changes of the run's branch and merge it into the current branch" CanMerge;
    NextTab "next-tab" Detail "next tab" "Next tab";
    Stop "stop" Detail "stop" "Stop the run; its log is kept" CanStop;
    Retry "retry" Detail "" "Start a new attempt of a finished run" CanRetry;
    AddContext "add-context" Detail "" "Give the agent more context in a new attempt" CanAddContext;

    Palette "palette" Global "command" "Find a command by name";
    Help "help" Global "help" "Keys for this view";
    FocusTasks "focus-tasks" Global "" "Tasks panel";
    FocusRuns "focus-runs" Global "" "Runs panel";
    FocusPreflight "focus-preflight" Global "" "Pre-flight panel";
    FocusDetail "focus-detail" Global "" "Detail panel";
    NextPanel "next-panel" Global "" "Next panel";
    PreviousPanel "previous-panel" Global "" "Previous panel";
    NextTab "next-tab" Global "" "Next tab of the Detail panel";
    PreviousTab "previous-tab" Global "" "Previous tab of the Detail panel";
    Zoom "zoom" Global "" "Toggle full screen for the panel";
    Refresh "refresh" Global "" "Read the repository again, contact the remote, retry the cluster";
    Back "back" Global "" "Close, clear or go back";
    CommandLog "command-log" Global "" "List git commands, with duration, result and output";
    Suspend "suspend" Global "" "Suspend to the shell; `fg` resumes";
    Quit "quit" Global "" "Quit; runs continue";
    Interrupt "interrupt" Global "" "Quit (twice: immediately)";

    Accept "accept" Overlay "select" "Select";
    Cancel "cancel" Overlay "close" "Cancel";
    Up "up" Overlay "" "Up";
    Down "down" Overlay "" "Down";
    PageUp "page-up" Overlay "" "Page up";
    PageDown "page-down" Overlay "" "Page down";
    Top "top" Overlay "" "First";
    Bottom "bottom" Overlay "" "Last";

    Yes "yes" Confirm "yes" "Confirm";
    No "no" Confirm "no" "Cancel";
    NextField "next-field" Confirm "" "Switch button";
    PreviousField "previous-field" Confirm "" "Switch button";

    NextField "next-field" Form "next" "Next field";
    PreviousField "previous-field" Form "" "Previous field";
    Left "left" Form "" "Previous choice";
    Right "right" Form "change" "Next choice";
    Launch "launch" Form "launch" "Submit; a launch asks for confirmation";

    Mark "mark" Cleanup "select" "Select for deletion";
    MarkAll "mark-all" Cleanup "all" "Select all, or none";
    Everyone "everyone" Cleanup "all repos" "Toggle runs of all repositories";

    Mark "mark" Sources "show/hide" "Show or hide the source";
    Accept "accept" Sources "only this" "Show only this source, and close";
    MarkAll "mark-all" Sources "all" "Show all sources";

    Complete "complete" Filter "complete" "Complete a column name or a value";
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_command_has_a_description_and_one_name() {
        let mut names: HashMap<Command, &str> = HashMap::new();
        for row in COMMANDS {
            assert!(!row.doc.is_empty(), "{}", row.name);
            assert!(!row.doc.ends_with('.'), "{}: {}", row.name, row.doc);
            assert!(row.hint.chars().count() <= 12, "{}", row.hint);
            assert_eq!(*names.entry(row.command).or_insert(row.name), row.name);
        }
        let mut seen: HashMap<&str, Command> = HashMap::new();
        for (command, name) in names {
            assert_eq!(seen.insert(name, command), None, "{name}");
        }
    }

    #[test]
    fn every_command_has_one_row_per_context() {
        for (at, row) in COMMANDS.iter().enumerate() {
            let again = COMMANDS[at + 1..]
                .iter()
                .any(|other| (other.command, other.context) == (row.command, row.context));
            assert!(!again, "{} twice in [{}]", row.name, row.context.name());
        }
    }
}
