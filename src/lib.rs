//! Flightdeck: an operations console for AI coding-agent runs.
//!
//! Nine rules keep this crate simple:
//!
//! 1. **Facts in, intents in, effects out.** The console is one function, `update(&mut Model, Msg) -> Effects`;
//!    nothing else writes the model.
//! 2. **View is a pure function** of `(&Model, &Theme, Rect)`: no `&mut`, no lock, no clock.
//! 3. **Pure middle, async rim.** Deciding is synchronous and total; only the rim awaits.
//! 4. **One seam to Kubernetes: `kube::Client`.** Real or embedded is chosen once, in `cluster/connect.rs`.
//! 5. **One struct per verb.** The CLI's arguments, the console's form and the thing that runs are the same value.
//! 6. **One table per concept:** commands, panels, run kinds, stages, checks, verbs. Adding one is one file and one row.
//! 7. **Shipped data is documentation:** `config/`, `themes/` and `templates/` are read by people first, by code second.
//! 8. **Whatever is generated is checked by a test that can rewrite it** (`UPDATE=1 cargo test shipped`).
//! 9. **stdout belongs to the front end** (a frame, data, or protocol): everything else goes to a log file or stderr.
//!
//! # The map
//!
//! Each line may use the lines above it, never those below or beside it (`tests/it/layers.rs` checks this):
//!
//! | rooms | what they hold |
//! |---|---|
//! | [`files`] | bounded reads of files that others control |
//! | [`text`] | words on a screen: sanitising, cutting, ages |
//! | [`telemetry`] | what is logged, and how |
//! | [`proxy`] | the way out through an HTTP proxy |
//! | [`resources`] | wire types of the two custom resources |
//! | [`runs`], [`tasks`], [`transcript`] | the domain, pure |
//! | [`settings`], [`templates`], [`repository`], [`preflight`], [`cluster`], [`ledger`], [`forge`], [`agents`], [`embedded`] | what the domain meets: files, git, clusters, forges |
//! | [`verbs`] | what a person or a program can ask for |
//! | [`controller`], [`stages`], [`console`], [`cli`] | the front ends; they never import each other |
//! | [`daemon`], [`demo`] | front ends put together |
//!
//! # Terms
//!
//! *Run*: one `DocsRun` or `CodeRun`. *Stage*: prep, agent or publish; each is a Job. *Attempt*: one Job of a stage.
//! *Documents*: the four files a docs run writes per task. *Workspace*: the volume the stages of a run share.
//! *Remote*: the git remote a pod clones. *Forge*: what serves pull requests for a remote. *Ledger*: what outlives a run.

pub mod cli;
pub mod connect;
pub mod daemon;
pub mod demo;
pub mod telemetry;
