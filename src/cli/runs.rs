//! The commands of `runs` that follow a log or ask. The others are generated.

use super::{Runs, Session, logs, merge};

/// Runs the command. Returns the exit code.
pub(super) async fn runs(session: &Session, command: Runs) -> anyhow::Result<u8> {
    match command {
        // Archived logs need no cluster, so this connects only if necessary.
        Runs::Logs(logs) => logs::logs(session, &logs).await,
        Runs::Merge { name, yes } => {
            let context = session.context().await?;
            merge::merge(session, &context, &name, yes).await
        }
    }
}
