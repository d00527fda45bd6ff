//! Who may do what in a namespace of runs: one table a role, a row with its reason for each thing that is allowed.
//!
//! Nobody is allowed to read a Secret, to run a command in a pod, or to change a rule. A test plays runs under these roles
//! and fails when something of ours asks for more, or when the controller never needs what it may do.

use serde_json::{Value, json};

use super::{File, document};
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
    about: "What the controller may do, in the namespace whose runs it looks after and nowhere else. It may not read Secrets: pods\n\
            are given them by name. Whoever may create Jobs can have a pod read any Secret of the namespace, so a namespace of runs\n\
            is one zone of trust.",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: &["get", "list", "watch", "patch", "delete"],
            why: "what is asked for; the finalizer; runs that ask to be removed some time after their end",
        },
        Grant {
            group: "orchestrator.io",
            resources: &["docsruns/status", "coderuns/status"],
            names: &[],
            verbs: &["patch"],
            why: "what became of it",
        },
        Grant {
            group: "batch",
            resources: &["jobs"],
            names: &[],
            verbs: MAKE,
            why: "the stages",
        },
        Grant {
            group: "",
            resources: &["pods"],
            names: &[],
            verbs: &["list", "watch", "patch"],
            why: "how a stage fares; a stop shortens the pod's deadline, so that its log stays",
        },
        Grant {
            group: "",
            resources: &["pods/log"],
            names: &[],
            verbs: &["get"],
            why: "the last lines of a stage that ended, kept with the run",
        },
        Grant {
            group: "",
            resources: &["configmaps"],
            names: &[],
            verbs: &["get", "list", "watch", "create", "delete"],
            why: "the files of a run, its kept logs (the oldest are deleted), the controller's settings, and docs-pr-config",
        },
        Grant {
            group: "",
            resources: &["persistentvolumeclaims"],
            names: &[],
            verbs: &["list", "watch", "create", "patch"],
            why: "workspaces, and who holds them",
        },
        Grant {
            group: "",
            resources: &["events"],
            names: &[],
            verbs: &["list"],
            why: "why a Job has no pod, and why a volume is not mounted: no status says it",
        },
        Grant {
            group: "events.k8s.io",
            resources: &["events"],
            names: &[],
            verbs: &["create", "patch"],
            why: "what people should see",
        },
        Grant {
            group: "coordination.k8s.io",
            resources: &["leases"],
            names: &[],
            verbs: &["create"],
            why: "the first Lease; creating cannot be narrowed to a name",
        },
        Grant {
            group: "coordination.k8s.io",
            resources: &["leases"],
            names: &[LEASE],
            verbs: &["get", "update"],
            why: "which controller works; never patched, since a patch would take it from its holder unseen",
        },
    ],
};

/// Somebody who launches runs.
pub const USER: Role = Role {
    suffix: "user",
    path: "rbac/user.yaml",
    about: "What the console and the command line ask for, for people who launch runs. Whoever may create runs may use the Git\n\
            identities and the model keys that the namespace holds.\n\
            kubectl --namespace {namespace} create rolebinding {name}-users --role={name}-user --group=GROUP",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: MAKE,
            why: "launch, look, stop, retry, add context, delete",
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
    about: "Looking on: every run, its log and its files, and nothing changed.\n\
            kubectl --namespace {namespace} create rolebinding {name}-viewers --role={name}-viewer --group=GROUP",
    grants: &[
        Grant {
            group: "orchestrator.io",
            resources: RUNS,
            names: &[],
            verbs: SEE,
            why: "the list of runs, live",
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
    about: "Beside the role of a user: deleting what lost its run, and workspaces nobody uses (`flightdeck clean`).\n\
            kubectl --namespace {namespace} create rolebinding {name}-cleaners --role={name}-cleaner --user=PERSON",
    grants: &[
        Grant {
            group: "batch",
            resources: &["jobs"],
            names: &[],
            verbs: &["delete"],
            why: "Jobs without a run",
        },
        Grant {
            group: "",
            resources: &["configmaps", "persistentvolumeclaims"],
            names: &[],
            verbs: &["delete"],
            why: "files without a run, workspaces without a use",
        },
    ],
};

const SEE_OWNED: Grant = Grant {
    group: "",
    resources: &["pods", "events", "configmaps", "persistentvolumeclaims"],
    names: &[],
    verbs: SEE,
    why: "how a run fares, what it says, which files it was given, where it works",
};
const SEE_JOBS: Grant = Grant {
    group: "batch",
    resources: &["jobs"],
    names: &[],
    verbs: SEE,
    why: "the stages of a run",
};
const SEE_LOGS: Grant = Grant {
    group: "",
    resources: &["pods/log"],
    names: &[],
    verbs: &["get"],
    why: "the log",
};
const SEE_LEASE: Grant = Grant {
    group: "coordination.k8s.io",
    resources: &["leases"],
    names: &[LEASE],
    verbs: SEE,
    why: "whether a controller is alive",
};
const SEE_QUOTA: Grant = Grant {
    group: "",
    resources: &["resourcequotas"],
    names: &[],
    verbs: &["list"],
    why: "whether a run would fit, before it is launched",
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
            text.extend(["# ", grant.why, "\n", &serde_yaml::to_string(&[rule])?]);
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
        document("The controller has its role.", &binding)?,
        document(
            "The pods of runs. They have no role, and no token.",
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
