//! The Git repository a person works in: facts, remote operations, fixes.

pub mod git;
