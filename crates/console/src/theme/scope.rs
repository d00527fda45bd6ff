//! The scopes: what a thing on the screen *is*. Themes say how each looks; the code never names a colour.

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a thing on the screen is. The dotted name is the key in a theme; a scope that a theme leaves out looks
        /// like the one before its last dot, and in the end like `text`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $($(#[$doc])* $variant,)* }

        impl Scope {
            /// Every scope, in the order of this table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The dotted name, as themes spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

scopes! {
    /// Ordinary text and the background of the screen.
    Text = "text",
    /// Secondary text: counts, ages, explanations.
    Muted = "text.muted",
    /// What is there only to be found when looked for: separators, line numbers.
    Faint = "text.faint",
    /// What the eye should find first in a sentence.
    Strong = "text.strong",
    /// The one colour that says "here" and "press this next".
    Accent = "accent",
    /// Borders of panels.
    Border = "border",
    /// Border of the focused panel.
    BorderFocused = "border.focused",
    /// Border of a dialog that destroys something.
    BorderDanger = "border.danger",
    /// Titles of panels.
    Title = "title",
    /// Title of the focused panel.
    TitleFocused = "title.focused",
    /// The row under the cursor in the focused panel.
    Selection = "selection",
    /// The row under the cursor in a panel without the focus.
    SelectionInactive = "selection.inactive",
    /// The sign of a marked row.
    Mark = "mark",
    /// Text that a search or a filter found.
    Match = "match",
    /// The match the search stands on.
    MatchCurrent = "match.current",
    /// A key in the footer, the help, an empty state.
    Key = "key",
    /// What a key does.
    KeyLabel = "key.label",
    /// The header line.
    Header = "header",
    /// The header line when a real cluster is the target.
    HeaderCluster = "header.cluster",
    /// A tab of a tab bar.
    Tab = "tab",
    /// The open tab.
    TabActive = "tab.active",
    /// What is typed into a field.
    Input = "input",
    /// Name of a field.
    InputLabel = "input.label",
    /// What stands in an empty field.
    InputPlaceholder = "input.placeholder",
    /// A run, whatever its phase.
    Run = "run",
    RunPending = "run.pending",
    RunRunning = "run.running",
    RunSucceeded = "run.succeeded",
    RunFailed = "run.failed",
    RunCancelled = "run.cancelled",
    /// A task, whatever its status.
    Task = "task",
    TaskPending = "task.pending",
    TaskInProgress = "task.in-progress",
    TaskReview = "task.review",
    TaskDone = "task.done",
    TaskBlocked = "task.blocked",
    TaskDeferred = "task.deferred",
    TaskCancelled = "task.cancelled",
    /// Priority of a task.
    Priority = "priority",
    PriorityCritical = "priority.critical",
    PriorityHigh = "priority.high",
    PriorityLow = "priority.low",
    /// A pre-flight check.
    Check = "check",
    CheckPass = "check.pass",
    CheckWarn = "check.warn",
    CheckFail = "check.fail",
    /// Good, doubtful and bad news in a sentence, a toast, a condition.
    Good = "news.good",
    Warn = "news.warn",
    Bad = "news.bad",
    /// A line of a log.
    Log = "log",
    LogTimestamp = "log.timestamp",
    /// What Flightdeck itself says between the lines of a log.
    LogNotice = "log.notice",
    LogError = "log.error",
    /// The rule that a person put between two lines.
    LogMark = "log.mark",
    /// Tags of where a line comes from; each source keeps its own.
    LogSource1 = "log.source.1",
    LogSource2 = "log.source.2",
    LogSource3 = "log.source.3",
    LogSource4 = "log.source.4",
    LogSource5 = "log.source.5",
    LogSource6 = "log.source.6",
    /// What an agent does, as its stream tells it.
    Agent = "agent",
    AgentThinking = "agent.thinking",
    AgentTool = "agent.tool",
    AgentResult = "agent.result",
    AgentError = "agent.error",
    /// A difference between two texts.
    Diff = "diff",
    DiffAdded = "diff.added",
    DiffRemoved = "diff.removed",
    DiffHunk = "diff.hunk",
    DiffFile = "diff.file",
    /// A document.
    Markdown = "markdown",
    MarkdownHeading = "markdown.heading",
    MarkdownStrong = "markdown.strong",
    MarkdownEmphasis = "markdown.emphasis",
    MarkdownCode = "markdown.code",
    MarkdownLink = "markdown.link",
    MarkdownQuote = "markdown.quote",
    MarkdownBullet = "markdown.bullet",
    /// Structured text.
    Syntax = "syntax",
    SyntaxKey = "syntax.key",
    SyntaxString = "syntax.string",
    SyntaxNumber = "syntax.number",
    SyntaxConstant = "syntax.constant",
    SyntaxComment = "syntax.comment",
    SyntaxPunctuation = "syntax.punctuation",
}

impl Scope {
    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name)
    }

    /// The tag colour of a log source: the sixth is followed by the first.
    #[must_use]
    pub const fn log_source(index: usize) -> Self {
        match index % 6 {
            0 => Self::LogSource1,
            1 => Self::LogSource2,
            2 => Self::LogSource3,
            3 => Self::LogSource4,
            4 => Self::LogSource5,
            _ => Self::LogSource6,
        }
    }
}
