//! Where key bindings apply.

/// Where a key binding applies. A panel or an overlay is in several contexts at once, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    Global,
    List,
    Tasks,
    Runs,
    Preflight,
    /// The Detail panel, on any tab.
    Detail,
    /// A tab that shows text.
    Text,
    /// A tab that lists steps or files.
    Items,
    /// Any overlay.
    Overlay,
    Confirm,
    Form,
    Cleanup,
    /// The filter line of a list.
    Filter,
    /// The list of a log's sources.
    Sources,
}

impl Context {
    /// All contexts, in the order help shows them.
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

    /// The name in `config/keymap.toml`.
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

    /// The heading in help.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Global => "Global",
            Self::List => "Lists",
            Self::Tasks => "Tasks",
            Self::Runs => "Runs",
            Self::Preflight => "Pre-flight",
            Self::Detail => "Detail",
            Self::Text => "Text and logs",
            Self::Items => "Steps and files",
            Self::Overlay => "Dialogs",
            Self::Confirm => "Confirmation",
            Self::Form => "Launch form",
            Self::Cleanup => "Clean up",
            Self::Filter => "Filter line",
            Self::Sources => "Log sources",
        }
    }

    /// Looks up a context by name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|context| context.name() == name)
    }

    /// All names, for error messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join("`, `")
    }
}
