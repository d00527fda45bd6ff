//! Who may do what in a namespace of runs: one table a role, a row with its reason for each thing that is allowed.
//!
//! Nobody is allowed to read a Secret, to run a command in a pod, or to change a rule. A test plays runs under these roles
//! and fails when something of ours asks for more, or when the controller never needs what it may do.

use serde_json::{Value, json};

use super::{File, document};
use flightdeck_core::yaml;
use flightdeck_preflight::cluster::LEASE;

/// One thing that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub group: &'static str,
    /// Plurals; a part of one after a slash.
    pub resources: &'static [&'static str],
    /// The objects it is narrowed to; empty: all of the namespace.
    pub names: &'static [&'static str],
    pub verbs: &'static [&'static str],
    /// What it is needed for.
    pub why: &'static str,
}

/// One role.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Follows the common beginning of all names.
    pub suffix: &'static str,
    pub(super) path: &'static str,
    about: &'static str,
    pub grants: &'static [Grant],
}

const RUNS: &[&str] = &["docsruns", "coderuns"];
const SEE: &[&str] = &["get", "list", "watch"];
const MAKE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// The controller, as it runs in the cluster.
pub const CONTROLLER: Role = Role {
    suffix: "controller",
    path: "rbac/controller.yaml",
    about: "Permissions of the controller, only in the namespace of its runs. It may not read Secrets: pods reference them by name.\n\
            Anyone who may create Jobs can mount any Secret of the namespace in a pod, so all runs of a namespace share one trust\n\
            boundary.",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: &["get", "list", "watch", "patch", "delete"],
            why: "read runs, set the finalizer, delete runs whose TTL has passed",
        },
        Grant {
            group: "orchestrator.io",
            resources: &["docsruns/status", "coderuns/status"],
            names: &[],
            verbs: &["patch"],
            why: "report the progress of runs",
        },
        Grant {
            group: "batch",
            resources: &["jobs"],
            names: &[],
            verbs: MAKE,
            why: "run the stages",
        },
        Grant {
            group: "",
            resources: &["pods"],
            names: &[],
            verbs: &["list", "watch", "patch"],
            why: "read the state of stages; stop one by shortening its pod's deadline, which keeps its log",
        },
        Grant {
            group: "",
            resources: &["pods/log"],
            names: &[],
            verbs: &["get"],
            why: "archive the logs of finished stages",
        },
        Grant {
            group: "",
            resources: &["configmaps"],
            names: &[],
            verbs: &["get", "list", "watch", "create", "delete"],
            why: "files and archived logs of runs (the oldest are deleted), the controller's settings, docs-pr-config",
        },
        Grant {
            group: "",
            resources: &["persistentvolumeclaims"],
            names: &[],
            verbs: &["list", "watch", "create", "patch"],
            why: "workspaces and their holders",
        },
        Grant {
            group: "",
            resources: &["events"],
            names: &[],
            verbs: &["list"],
            why: "find out why a Job has no pod or a volume is not mounted, which only Events report",
        },
        Grant {
            group: "events.k8s.io",
            resources: &["events"],
            names: &[],
            verbs: &["create", "patch"],
            why: "write Events about runs",
        },
        Grant {
            group: "coordination.k8s.io",
            resources: &["leases"],
            names: &[],
            verbs: &["create"],
            why: "create the Lease; RBAC cannot restrict create to a name",
        },
        Grant {
            group: "coordination.k8s.io",
            resources: &["leases"],
            names: &[LEASE],
            verbs: &["get", "update"],
            why: "leader election; no patch, which could overwrite another holder",
        },
    ],
};

/// Somebody who launches runs.
pub const USER: Role = Role {
    suffix: "user",
    path: "rbac/user.yaml",
    about: "Permissions of users who launch runs with the console or the command line. Anyone who may create runs can use the Git\n\
            identities and model keys of the namespace.\n\
            kubectl --namespace {namespace} create rolebinding {name}-users --role={name}-user --group=GROUP",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: MAKE,
            why: "launch, view, stop, retry, add context, delete",
        },
        SEE_JOBS,
        SEE_OWNED,
        SEE_LOGS,
        SEE_LEASE,
        SEE_QUOTA,
    ],
};

/// Somebody who looks on.
pub const VIEWER: Role = Role {
    suffix: "viewer",
    path: "rbac/viewer.yaml",
    about: "Read-only access to runs, their logs and their files.\n\
            kubectl --namespace {namespace} create rolebinding {name}-viewers --role={name}-viewer --group=GROUP",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: SEE,
            why: "list and watch runs",
        },
        SEE_JOBS,
        SEE_OWNED,
        SEE_LOGS,
        SEE_LEASE,
        SEE_QUOTA,
    ],
};

/// Somebody who clears away what lost its run.
pub const CLEANER: Role = Role {
    suffix: "cleaner",
    path: "rbac/cleaner.yaml",
    about: "In addition to the user role: delete objects without a run and unused workspaces (`flightdeck clean`).\n\
            kubectl --namespace {namespace} create rolebinding {name}-cleaners --role={name}-cleaner --user=PERSON",
    grants: &[
        Grant {
            group: "batch",
            resources: &["jobs"],
            names: &[],
            verbs: &["delete"],
            why: "delete Jobs without a run",
        },
        Grant {
            group: "",
            resources: &["configmaps", "persistentvolumeclaims"],
            names: &[],
            verbs: &["delete"],
            why: "delete files without a run and unused workspaces",
        },
    ],
};

const SEE_OWNED: Grant = Grant {
    group: "",
    resources: &["pods", "events", "configmaps", "persistentvolumeclaims"],
    names: &[],
    verbs: SEE,
    why: "state, Events, files and workspace of a run",
};
const SEE_JOBS: Grant = Grant {
    group: "batch",
    resources: &["jobs"],
    names: &[],
    verbs: SEE,
    why: "view the stages of a run",
};
const SEE_LOGS: Grant = Grant {
    group: "",
    resources: &["pods/log"],
    names: &[],
    verbs: &["get"],
    why: "read logs",
};
const SEE_LEASE: Grant = Grant {
    group: "coordination.k8s.io",
    resources: &["leases"],
    names: &[LEASE],
    verbs: SEE,
    why: "check whether a controller is running",
};
const SEE_QUOTA: Grant = Grant {
    group: "",
    resources: &["resourcequotas"],
    names: &[],
    verbs: &["list"],
    why: "check the quota before a launch",
};

/// Every role.
pub const ROLES: [Role; 4] = [CONTROLLER, USER, VIEWER, CLEANER];

/// The files, with the service accounts beside the role of the controller.
pub(super) fn files(namespace: &str, name: &str) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for role in ROLES {
        let mut text = role.document(namespace, name)?;
        if role.suffix == CONTROLLER.suffix {
            text.push_str(&accounts(namespace, name)?);
        }
        files.push(File {
            path: role.path,
            text,
        });
    }
    Ok(files)
}

impl Role {
    /// The role as a document, every row below its reason.
    fn document(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let about = self.about.replace("{namespace}", namespace);
        let head = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata(namespace, name, self.suffix),
        });
        let mut text = document(&about.replace("{name}", name), &head)?;
        text.push_str("rules:\n");
        for grant in self.grants {
            let mut rule = json!({ "apiGroups": [grant.group], "resources": grant.resources });
            if !grant.names.is_empty() {
                rule["resourceNames"] = json!(grant.names);
            }
            rule["verbs"] = json!(grant.verbs);
            text.extend(["# ", grant.why, "\n", &yaml::to_string(&[rule])?]);
        }
        Ok(text)
    }
}

/// Who the controller is, and who the pods of stages are: somebody who may do nothing.
fn accounts(namespace: &str, name: &str) -> anyhow::Result<String> {
    let account = |suffix: &str, mounted: bool| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(namespace, name, suffix),
            "automountServiceAccountToken": mounted,
        })
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(namespace, name, "controller"),
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": format!("{name}-controller") },
        "subjects": [{ "kind": "ServiceAccount", "name": format!("{name}-controller"), "namespace": namespace }],
    });
    Ok([
        document("The controller.", &account("controller", true))?,
        document("Binds the controller to its role.", &binding)?,
        document(
            "The service account of the pods of runs, without a role or token.",
            &account("stage", false),
        )?,
    ]
    .concat())
}

/// Metadata of everything that is printed.
pub(super) fn metadata(namespace: &str, name: &str, suffix: &str) -> Value {
    json!({
        "name": format!("{name}-{suffix}"),
        "namespace": namespace,
        "labels": {
            "app.kubernetes.io/name": "flightdeck",
            "app.kubernetes.io/component": suffix,
            "app.kubernetes.io/part-of": "flightdeck",
        },
    })
}
