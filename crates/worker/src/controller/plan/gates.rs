//! Requirements for creating a Job: the run's files, and a workspace that the run may use.

use super::{Action, WORKSPACE_RECHECK, status::Draft, why};
use crate::controller::objects;
use flightdeck_core::{
    resources::ConditionStatus,
    runs::{Phase, Stage},
};
use flightdeck_host::settings::NotAllowed;

/// Ensures the ConfigMap. Returns `false` if the run failed: waiting would not help.
pub(crate) fn configuration(draft: &mut Draft) -> bool {
    let observed = draft.observed;
    let run = &observed.run;
    if let Some(refused) = observed.settings.refuses(run) {
        let reason = match refused {
            NotAllowed::Environment(_) => why::ENVIRONMENT_REFUSED,
            NotAllowed::Host(_) => why::HOST_REFUSED,
        };
        return refuse(draft, reason, refused.message());
    }
    if let Some(existing) = &observed.config_map {
        if !objects::owned_by(&existing.metadata, run.uid()) {
            let name = existing.metadata.name.as_deref().unwrap_or_default();
            let message = format!(
                "the ConfigMap {name} belongs to something else; delete it or launch under another name"
            );
            return refuse(draft, why::FOREIGN, &message);
        }
    } else {
        if let Err(invalid) = run.validate() {
            return refuse(draft, why::INVALID, &invalid.to_string());
        }
        match &observed.files {
            Ok(files) => {
                let map = objects::config_map(run, draft.version, files.clone());
                draft.act(Action::CreateConfigMap(Box::new(map)));
            }
            Err(message) => return refuse(draft, why::CONFIG_INVALID, message),
        }
    }
    draft.set("ConfigReady", ConditionStatus::True, "Rendered", "");
    true
}

fn refuse(draft: &mut Draft, reason: &str, message: &str) -> bool {
    draft.set("ConfigReady", ConditionStatus::False, reason, message);
    draft.finish(&Phase::Failed, reason, message);
    false
}

/// Ensures that the workspace exists and is held by this run. Returns `false` if the run must wait or has failed.
pub(crate) fn workspace(draft: &mut Draft, stage: Stage) -> bool {
    let observed = draft.observed;
    let run = &observed.run;
    let name = objects::workspace_name(run);
    let Some(claim) = &observed.workspace else {
        if stage != Stage::Prep {
            let message = format!(
                "the workspace {name} was deleted, and the work in it is lost; retry to start again from prep"
            );
            draft.set(
                "WorkspaceReady",
                ConditionStatus::False,
                why::WORKSPACE_LOST,
                &message,
            );
            draft.finish(&Phase::Failed, why::WORKSPACE_LOST, &message);
            return false;
        }
        if let Some(ahead) = &observed.ahead {
            return queue(draft, &name, ahead);
        }
        let claim = objects::workspace(run, &observed.settings.workspace);
        draft.act(Action::CreateWorkspace(Box::new(claim)));
        draft.set("WorkspaceReady", ConditionStatus::True, "Created", "");
        return true;
    };
    if !objects::is_ours(claim, run) {
        let message = format!(
            "the claim {name} was not created for this run and is not used; delete it or choose another service"
        );
        draft.set(
            "WorkspaceReady",
            ConditionStatus::False,
            why::FOREIGN,
            &message,
        );
        draft.finish(&Phase::Failed, why::FOREIGN, &message);
        return false;
    }
    if claim.metadata.deletion_timestamp.is_some() {
        let message = format!("the workspace {name} is being deleted; waiting to create a new one");
        return wait(draft, why::TERMINATING, &message);
    }
    if run.kind.shares_workspace() {
        if let Some(holder) = observed
            .holder
            .as_ref()
            .filter(|holder| !holder.gone || holder.live_pods > 0)
        {
            let holder = holder.name.clone();
            return queue(draft, &name, &holder);
        }
        if let Some(ahead) = &observed.ahead {
            return queue(draft, &name, ahead);
        }
        // Also if this run already appears to be the holder: the write proves it.
        draft.act(Action::HoldWorkspace {
            claim: name,
            resource_version: claim.metadata.resource_version.clone().unwrap_or_default(),
        });
    }
    draft.set("WorkspaceReady", ConditionStatus::True, "Held", "");
    true
}

fn queue(draft: &mut Draft, name: &str, holder: &str) -> bool {
    let message = format!("the workspace {name} is in use by {holder}; this run is queued");
    wait(draft, why::IN_USE, &message)
}

fn wait(draft: &mut Draft, reason: &str, message: &str) -> bool {
    let new = draft.observed.run.status.reason.as_deref() != Some(reason);
    draft.set("WorkspaceReady", ConditionStatus::False, reason, message);
    draft.set_phase(&Phase::Pending, Some(reason), message);
    if new {
        draft.warn(reason, message);
    }
    draft.requeue_after(WORKSPACE_RECHECK.as_secs());
    false
}
