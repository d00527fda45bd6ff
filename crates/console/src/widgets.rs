//! What panels are made of: each widget is a pure model, moved by the panel's update, and a pure drawing of it. Widgets
//! know nothing of runs, tasks or clusters.

pub mod diff;
pub mod markdown;
pub mod syntax;
pub mod text_view;
