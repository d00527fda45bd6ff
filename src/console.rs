//! (being built)

pub mod theme;
