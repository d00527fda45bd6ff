//! Access to the outside world: settings, templates, git, clusters, forges and the ledger.

pub mod cluster;
pub mod forge;
pub mod ledger;
pub mod proxy;
pub mod repository;
pub mod settings;
pub mod templates;
