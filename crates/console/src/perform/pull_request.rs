//! Polls the pull request that the Detail panel shows.

use std::time::Instant;

use tokio::sync::mpsc;

use super::send::send;
use crate::{detail_io::DetailResponse, msg::Msg, panels::detail, world::RunId};
use flightdeck_host::forge::{self, Forge, ForgeError, ForgeOptions, RetryPolicy};
use flightdeck_verbs::ClusterContext;

/// Polls a pull request and sends each change, until it is closed or has not changed for long.
pub(super) async fn watch(
    context: &ClusterContext,
    run: RunId,
    url: &str,
    number: i64,
    sender: &mpsc::Sender<Msg>,
) {
    // One client for all polls: it keeps ETags, so that an unchanged response costs no rate limit.
    let opened = open_forge(context, url).map_err(|error| error.to_string());
    let opened = opened.and_then(|forge| forge.ok_or_else(|| "not a known Git host".to_owned()));
    let forge = match opened {
        Ok(forge) => forge,
        Err(why) => {
            send(
                sender,
                Msg::Detail(DetailResponse::PullRequest(run, Err(why))),
            )
            .await;
            return;
        }
    };
    let mut last = None;
    let mut changed_at = Instant::now();
    loop {
        let found = forge.status(number).await;
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

/// Opens the Git host of a repository; `None` if it is unknown or has no pull requests.
fn open_forge(context: &ClusterContext, url: &str) -> Result<Option<Box<dyn Forge>>, ForgeError> {
    let Some(target) = context.settings.forge_target(url) else {
        return Ok(None);
    };
    let options = ForgeOptions {
        token: forge::token(Some(&target), |name| std::env::var(name).ok()),
        retry_policy: RetryPolicy::interactive(),
        ..ForgeOptions::default()
    };
    forge::open(&target, options)
}
