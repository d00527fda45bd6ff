//! (being built)

pub mod theme;
pub mod widgets;
