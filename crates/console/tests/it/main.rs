//! Integration tests of the console: its screens.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_collect,
    clippy::format_push_string
)]

mod scenes;
mod screens;
mod svg;
