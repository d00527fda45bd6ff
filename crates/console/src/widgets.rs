//! Widgets of the panels: pure state and drawing, without knowledge of runs, tasks or clusters.

pub mod diff;
pub mod markdown;
pub mod syntax;
pub mod text_view;
