//! The namespace of the stories with everything in it, and its removal.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Secret, ServiceAccount},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    Options, Storage,
    remote::Remote,
    stories::MISSING,
    volumes::{self, Volumes},
};
use crate::support::said;
use flightdeck_core::resources::{CodeRun, DocsRun};
use flightdeck_host::settings::Settings;
use flightdeck_worker::controller::{self, ControllerConfig};

/// Timeout for everything but runs: deleting a namespace, starting a pod.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Label of our objects.
const LABEL: &str = "flightdeck.dev/test";

pub(super) struct Environment {
    pub options: Options,
    pub client: Client,
    /// Unique per execution.
    pub run: String,
    pub namespace: String,
    pub title: String,
    pub settings: Arc<Settings>,
    pub remote: Remote,
    volumes: Option<Volumes>,
    definitions_are_ours: bool,
    controller: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Environment {
    /// Inspects the cluster without creating anything.
    pub(super) async fn choose(options: Options) -> Result<Self, String> {
        let named =
            |error: &dyn std::fmt::Display| format!("{}: {error}", options.kubeconfig.display());
        let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).map_err(|e| named(&e))?;
        let context = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &context).await;
        let config = config.map_err(|error| named(&error))?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| named(&error))?;
        let version = client.apiserver_version().await;
        let version = version.map_err(|error| named(&error))?;
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let title = format!("Kubernetes {} at {server}", version.git_version);
        said(&format!("REAL {title}"));
        let mut settings = Settings::shipped();
        settings.images.runner.clone_from(&options.image);
        settings.workspace.size = "128Mi".into();
        settings.allow.env_secrets = vec![MISSING.into()];
        for agent in settings.agents.values_mut() {
            agent.image.clone_from(&options.image);
        }
        match &options.storage {
            Storage::Class(name) => settings.workspace.storage_class.clone_from(name),
            Storage::Local(_) => settings.workspace.storage_class = volumes::class(&run),
        }
        let remote = Remote::new(&run, options.git.as_ref(), &mut settings);
        Ok(Self {
            namespace: format!("fdr-{run}"),
            options,
            client,
            run,
            title,
            settings: Arc::new(settings),
            remote,
            volumes: None,
            definitions_are_ours: false,
            controller: None,
        })
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the context for verbs.
    pub(super) fn context(&self) -> flightdeck_verbs::ClusterContext {
        flightdeck_verbs::ClusterContext {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            settings: Arc::clone(&self.settings),
            ledger: None,
        }
    }

    /// Creates everything that the stories need.
    pub(super) async fn prepare(&mut self) -> Result<(), String> {
        let name = self.namespace.clone();
        make_namespace(&self.client, &name, &self.run, "restricted").await?;
        did(&format!(
            "created the namespace {name}, which enforces PodSecurity restricted"
        ));
        self.define().await?;
        if let Storage::Local(directory) = &self.options.storage {
            let volumes = Volumes::new(&self.client, &self.run, directory);
            // Stored before it is filled, so that a partial setup is removed too.
            let volumes = self.volumes.insert(volumes);
            let created = volumes.make(&self.options.image).await?;
            did(&created);
        }
        if let Some((user, token)) = self.remote.credential() {
            let secret: Secret = from(json!({
                "metadata": { "name": format!("github-pat-{user}") },
                "stringData": { "token": token },
            }));
            make(&self.api(), &secret).await?;
        }
        let pushed = self.remote.fill(self).await?;
        did(&pushed);
        let (stop, stopped) = oneshot::channel();
        let config = ControllerConfig::new(Arc::clone(&self.settings), &self.namespace, "test");
        let running = controller::run(self.client.clone(), config, async {
            drop::<Result<(), _>>(stopped.await);
        });
        self.controller = Some((stop, tokio::spawn(running)));
        Ok(())
    }

    /// Installs the CRDs if they are missing.
    async fn define(&mut self) -> Result<(), String> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = definitions.get_opt("docsruns.orchestrator.io").await;
        match found {
            Ok(Some(_)) => did("found the CRDs installed and did not change them"),
            Ok(None) => {
                self.definitions_are_ours = true;
                let installed = controller::install_crds(self.client.clone()).await;
                installed.map_err(|error| error.to_string())?;
                did("installed the CRDs");
            }
            Err(error) => did(&format!(
                "could not check whether the CRDs are installed ({error}); assumed that they are"
            )),
        }
        Ok(())
    }

    /// Removes everything. Returns what could not be removed.
    pub(super) async fn remove(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        // Delete runs first, while the controller can remove their finalizers.
        for patch in [false, true] {
            self.delete_runs::<DocsRun>(patch).await;
            self.delete_runs::<CodeRun>(patch).await;
            if patch {
                break;
            }
            if let Some((stop, controller)) = self.controller.take() {
                drop(stop);
                if tokio::time::timeout(TIMEOUT, controller).await.is_err() {
                    failures.push("the controller did not stop".to_owned());
                }
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        failures.extend(gone(&namespaces, &self.namespace).await.err());
        if let Some(volumes) = self.volumes.take() {
            failures.extend(volumes.remove(&self.options.image).await);
        }
        if self.definitions_are_ours {
            let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
            for name in ["docsruns.orchestrator.io", "coderuns.orchestrator.io"] {
                failures.extend(gone(&definitions, name).await.err());
            }
        }
        failures.extend(self.remote.empty().err());
        if failures.is_empty() {
            did("removed everything that was created");
        }
        failures
    }

    /// Deletes the runs and waits; with `patch` removes the finalizers of those that remain.
    async fn delete_runs<K>(&self, patch: bool)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = self.api();
        for _ in 0..60 {
            let Ok(left) = api.list(&ListParams::default()).await else {
                return;
            };
            if left.items.is_empty() {
                return;
            }
            for run in left {
                let name = run.name_any();
                if patch {
                    let none = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
                    drop(api.patch(&name, &PatchParams::default(), &none).await);
                }
                drop(api.delete(&name, &DeleteParams::background()).await);
            }
            tokio::time::sleep(POLL_INTERVAL * 2).await;
        }
    }
}

/// Prints what was done.
fn did(what: &str) {
    said(&format!("REAL   {what}"));
}

/// Converts a JSON value of a test.
pub(super) fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Creates an object. Returns the message of a rejection.
pub(super) async fn make<K>(api: &Api<K>, object: &K) -> Result<K, String>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let made = api.create(&PostParams::default(), object).await;
    made.map_err(|error| {
        let kind = K::kind(&());
        format!("cannot create the {kind} {}: {error}", object.name_any())
    })
}

/// Creates a namespace that can run pods: a real cluster requires the default service account.
pub(super) async fn make_namespace(
    client: &Client,
    name: &str,
    run: &str,
    level: &str,
) -> Result<(), String> {
    let namespace: Namespace = from(json!({ "metadata": { "name": name, "labels": {
        LABEL: run, "pod-security.kubernetes.io/enforce": level,
    } } }));
    make(&Api::all(client.clone()), &namespace).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    for _ in 0..240 {
        match accounts.get_opt("default").await {
            Ok(None) => {
                // The embedded cluster has no service accounts and returns the same.
                let served = client.list_core_api_resources("v1").await;
                let served = served.map_err(|error| error.to_string())?;
                if !served
                    .resources
                    .iter()
                    .any(|kind| kind.name == "serviceaccounts")
                {
                    return Ok(());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            _ => return Ok(()),
        }
    }
    Err(format!(
        "the namespace {name} has no default service account"
    ))
}

/// Deletes an object and waits until it is gone.
pub(super) async fn gone<K>(api: &Api<K>, name: &str) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let kind = K::kind(&());
    let begun = std::time::Instant::now();
    drop(api.delete(name, &DeleteParams::background()).await);
    loop {
        match api.get_metadata_opt(name).await {
            Ok(None) => return Ok(()),
            _ if begun.elapsed() < TIMEOUT => tokio::time::sleep(POLL_INTERVAL).await,
            Ok(Some(_)) => return Err(format!("{kind} {name} is still there")),
            Err(error) => return Err(format!("{kind} {name} may still be there: {error}")),
        }
    }
}

/// Returns the existing namespaces and definitions of any execution.
pub(super) async fn left_behind(client: &Client) -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let marked = ListParams::default().labels(LABEL);
    let namespaces = namespaces.list(&marked).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definitions = definitions.list(&ListParams::default()).await.unwrap();
    let named = namespaces.iter().map(ResourceExt::name_any);
    named
        .chain(definitions.iter().map(ResourceExt::name_any))
        .collect()
}
