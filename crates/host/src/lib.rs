//! What Flightdeck reads and talks to: settings, templates, git, clusters, forges, and the ledger.

pub mod cluster;
pub mod forge;
pub mod ledger;
pub mod proxy;
pub mod repository;
pub mod settings;
pub mod templates;
