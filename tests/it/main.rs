//! The integration tests, one binary: a file for each thing a user would be hurt by.

mod corpus;
mod layers;
