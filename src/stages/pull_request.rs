//! The pull request of a branch that was pushed.

use super::{error::StageError, place::Place, say};
use crate::runs::{StageReport, reason};

/// Opens the pull request of what `report` says was pushed, or finds it again.
pub fn open(place: &Place, report: StageReport) -> Result<StageReport, StageError> {
    let manifest = &place.manifest;
    let Some(_forge) = &manifest.forge else {
        let message = format!(
            "the remote is no forge, so there is no pull request; the work is on the branch {}",
            manifest.target_branch
        );
        say(&message);
        return Ok(StageReport {
            message: Some(message),
            pull_request_reason: Some(reason::NO_FORGE.to_owned()),
            ..report
        });
    };
    Err(StageError::Ended {
        reason: reason::PULL_REQUEST_FAILED,
        message: format!(
            "the branch {} is pushed, but this version makes no pull requests",
            manifest.target_branch
        ),
        report: Box::new(StageReport {
            pull_request_reason: Some(reason::PULL_REQUEST_FAILED.to_owned()),
            ..report
        }),
    })
}
