//! Scopes: the meaning of text on screen. Themes define their styles; other code never names a colour.

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The meaning of text on screen. The dotted name is the key in a theme. A scope missing in a theme inherits from
        /// its parent (`run` for `run.failed`), and finally from `text`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $($(#[$doc])* $variant,)* }

        impl Scope {
            /// All scopes, in the order of this table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the dotted name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

scopes! {
    /// Normal text, and the background of the screen.
    Text = "text",
    /// Secondary text: counts, ages, explanations.
    Muted = "text.muted",
    /// Unobtrusive text: separators, line numbers.
    Faint = "text.faint",
    /// Emphasised text.
    Strong = "text.strong",
    /// The accent colour.
    Accent = "accent",
    /// Border of a panel.
    Border = "border",
    /// Border of the focused panel.
    BorderFocused = "border.focused",
    /// Border of a destructive dialog.
    BorderDanger = "border.danger",
    /// Title of a panel.
    Title = "title",
    /// Title of the focused panel.
    TitleFocused = "title.focused",
    /// The selected row of the focused panel.
    Selection = "selection",
    /// The selected row of another panel.
    SelectionInactive = "selection.inactive",
    /// Glyph of a marked row.
    Mark = "mark",
    /// A search match.
    Match = "match",
    /// The current search match.
    MatchCurrent = "match.current",
    /// A key in a hint.
    Key = "key",
    /// Label of a key.
    KeyLabel = "key.label",
    /// The header line.
    Header = "header",
    /// The header line while connected to a real cluster.
    HeaderCluster = "header.cluster",
    /// A tab in a tab bar.
    Tab = "tab",
    /// The open tab.
    TabActive = "tab.active",
    /// Text in a field.
    Input = "input",
    /// Label of a field.
    InputLabel = "input.label",
    /// Placeholder of an empty field.
    InputPlaceholder = "input.placeholder",
    /// A run of unknown phase.
    Run = "run",
    RunPending = "run.pending",
    RunRunning = "run.running",
    RunSucceeded = "run.succeeded",
    RunFailed = "run.failed",
    RunCancelled = "run.cancelled",
    /// A task of unknown status.
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
    /// Success, warning and error in text.
    Good = "news.good",
    Warn = "news.warn",
    Bad = "news.bad",
    /// A line of a log.
    Log = "log",
    LogTimestamp = "log.timestamp",
    /// A notice from Flightdeck between log lines.
    LogNotice = "log.notice",
    LogError = "log.error",
    /// A mark between two lines.
    LogMark = "log.mark",
    /// Label of a log source.
    LogSource1 = "log.source.1",
    LogSource2 = "log.source.2",
    LogSource3 = "log.source.3",
    LogSource4 = "log.source.4",
    LogSource5 = "log.source.5",
    LogSource6 = "log.source.6",
    /// Text of an agent.
    Agent = "agent",
    AgentThinking = "agent.thinking",
    AgentTool = "agent.tool",
    AgentResult = "agent.result",
    AgentError = "agent.error",
    /// A diff.
    Diff = "diff",
    DiffAdded = "diff.added",
    DiffRemoved = "diff.removed",
    DiffHunk = "diff.hunk",
    DiffFile = "diff.file",
    /// A Markdown document.
    Markdown = "markdown",
    MarkdownHeading = "markdown.heading",
    MarkdownStrong = "markdown.strong",
    MarkdownEmphasis = "markdown.emphasis",
    MarkdownCode = "markdown.code",
    MarkdownLink = "markdown.link",
    MarkdownQuote = "markdown.quote",
    MarkdownBullet = "markdown.bullet",
    /// Source code.
    Syntax = "syntax",
    SyntaxKey = "syntax.key",
    SyntaxString = "syntax.string",
    SyntaxNumber = "syntax.number",
    SyntaxConstant = "syntax.constant",
    SyntaxComment = "syntax.comment",
    SyntaxPunctuation = "syntax.punctuation",
}

impl Scope {
    /// Returns the scope with a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name)
    }

    /// Returns the scope of a log source. The six scopes repeat.
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
