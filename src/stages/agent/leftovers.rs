//! Commits what the agent wrote but did not commit.
//!
//! Of a docs run only its own documents: a stray file of the agent's must not spoil the run. Of a code run everything but
//! the plan, which a run never changes. What else is staged stays where it is.

use crate::{
    repository::git::Git,
    runs::RunKind,
    stages::{error::StageError, place::Place, remote::local, say},
};

/// Everything of a code run that may be committed, as git pathspecs.
const CODE: [&str; 2] = [":/", ":(exclude,top,glob)**/.taskmaster/tasks/tasks.json"];

pub async fn commit(place: &Place) -> Result<(), StageError> {
    let manifest = &place.manifest;
    let checkout = place.checkout()?;
    let own = local(&checkout);
    let (git, paths): (Git, Vec<String>) = match manifest.kind {
        RunKind::Docs => {
            let there = manifest
                .expected_documents()
                .into_iter()
                .filter(|path| checkout.join(path).is_file());
            (own.env("GIT_LITERAL_PATHSPECS", "1"), there.collect())
        }
        RunKind::Code => (own, CODE.map(String::from).to_vec()),
    };
    if paths.is_empty() {
        return Ok(());
    }
    let on_paths = |words: &[&str]| git.clone().args(words).arg("--").args(&paths);
    let all = match manifest.kind {
        // The repository may ignore its documents; the run is there to write them.
        RunKind::Docs => "--force",
        RunKind::Code => "--all",
    };
    on_paths(&["add", all]).run().await?;
    if on_paths(&["diff", "--cached", "--quiet", "--no-ext-diff"])
        .run()
        .await
        .is_ok()
    {
        return Ok(());
    }
    let message = format!("Work of {} that its agent left uncommitted", manifest.run);
    on_paths(&["commit", "--quiet", "--no-verify", "--only", "-m", &message])
        .run()
        .await?;
    say("Committed what the agent had left uncommitted.");
    Ok(())
}
