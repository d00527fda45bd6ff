//! Polls the pull request that the Detail panel shows.

use std::time::Instant;

use tokio::sync::mpsc;

use super::send::send;
use crate::{detail_io::DetailResponse, msg::Msg, panels::detail, world::RunId};
use flightdeck_core::runs::ForgeTarget;
use flightdeck_host::forge::{Forge, ForgeError, PullRequestStatus, RetryPolicy, Secret, stand_in};
use flightdeck_verbs::ClusterContext;

/// Polls a pull request and sends each change, until it is closed or has not changed for long.
pub(super) async fn watch(
    context: &ClusterContext,
    run: RunId,
    url: &str,
    number: i64,
    sender: &mpsc::Sender<Msg>,
) {
    let Some(target) = context.settings.forge_target(url) else {
        let why = "not a known Git host".to_owned();
        send(
            sender,
            Msg::Detail(DetailResponse::PullRequest(run, Err(why))),
        )
        .await;
        return;
    };
    let mut last = None;
    let mut changed_at = Instant::now();
    loop {
        let found = pull_request(&target, number).await;
        if last.as_ref() != Some(&found) {
            changed_at = Instant::now();
            let news = found
                .clone()
                .map(Box::new)
                .map_err(|error| error.to_string());
            send(
                sender,
                Msg::Detail(DetailResponse::PullRequest(run.clone(), news)),
            )
            .await;
        }
        let next = detail::next_poll(found.as_ref(), changed_at.elapsed());
        last = Some(found);
        match next {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return,
        }
    }
}

async fn pull_request(target: &ForgeTarget, number: i64) -> Result<PullRequestStatus, ForgeError> {
    // The local stand-in forge has its own token. The user's token must only go to real forges.
    let token = if target.api_url.starts_with("http://127.0.0.1:") {
        Secret::new(stand_in::TOKEN)
    } else {
        Secret::from_environment(|name| std::env::var(name).ok())
    };
    let forge = Forge::new(target, token)?.with_retry_policy(RetryPolicy::interactive());
    forge.status(number).await
}
