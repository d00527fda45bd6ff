//! What a person or a program can ask for. One struct a verb: the command line's arguments, the console's form and the
//! thing that runs are the same value.

pub mod clean;
mod context;
mod delete;
mod error;
mod keep;
mod launch;
mod migrate;
mod retry;
mod set_status;
mod stop;
mod subject;
mod wait;

pub use clean::{Candidate, Clean, CleanPlan, CleanReport, Rule, parse_age};
pub use context::Context;
pub use delete::{Delete, Deleted};
pub use error::VerbError;
pub use keep::{Earlier, Keeper, earlier, keep, take_over};
pub use launch::{Launch, duplicate};
pub use migrate::{Lost, Migrate, MigrateReport, Migrated, Outcome};
pub use retry::{AddContext, CONTEXT_LIMIT, Retry};
pub use set_status::{SetStatus, StatusSet, plan_file};
pub use stop::Stop;
pub use subject::Subject;
pub use wait::{Wait, exit_code};
