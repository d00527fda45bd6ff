//! Widgets of the panels: pure state and drawing, without knowledge of runs, tasks or clusters.

pub(crate) mod diff;
pub(crate) mod markdown;
pub(crate) mod syntax;
pub mod text_view;
