//! Where the stories play: a namespace of their own with everything in it, and its removal.

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

/// How long what is not a run may take: a namespace that goes, a pod that starts.
pub const PATIENCE: Duration = Duration::from_secs(300);
pub const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Marks what is ours.
const LABEL: &str = "flightdeck.dev/test";

pub struct Place {
    pub options: Options,
    pub client: Client,
    /// Unlike every other play's.
    pub run: String,
    pub namespace: String,
    pub title: String,
    pub settings: Arc<Settings>,
    pub remote: Remote,
    volumes: Option<Volumes>,
    definitions_are_ours: bool,
    controller: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Place {
    /// Looks at the cluster; nothing is made yet.
    pub async fn choose(options: Options) -> Result<Self, String> {
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

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What verbs are given.
    pub fn context(&self) -> flightdeck_verbs::Context {
        flightdeck_verbs::Context {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            settings: Arc::clone(&self.settings),
            ledger: None,
        }
    }

    /// Makes all that the stories need.
    pub async fn prepare(&mut self) -> Result<(), String> {
        let name = self.namespace.clone();
        make_namespace(&self.client, &name, &self.run, "restricted").await?;
        did(&format!(
            "made the namespace {name}, in which PodSecurity restricted is enforced"
        ));
        self.define().await?;
        if let Storage::Local(directory) = &self.options.storage {
            let volumes = Volumes::new(&self.client, &self.run, directory);
            // Kept before it is filled, so that what came about is removed even if not all did.
            let volumes = self.volumes.insert(volumes);
            let made = volumes.make(&self.options.image).await?;
            did(&made);
        }
        if let Some((user, token)) = self.remote.credential() {
            let secret: Secret = from(json!({
                "metadata": { "name": format!("github-pat-{user}") },
                "stringData": { "token": token },
            }));
            make(&self.api(), &secret).await?;
        }
        let told = self.remote.fill(self).await?;
        did(&told);
        let (stop, stopped) = oneshot::channel();
        let config = ControllerConfig::new(Arc::clone(&self.settings), &self.namespace, "test");
        let running = controller::run(self.client.clone(), config, async {
            drop::<Result<(), _>>(stopped.await);
        });
        self.controller = Some((stop, tokio::spawn(running)));
        Ok(())
    }

    /// The kinds of runs, where they are not known.
    async fn define(&mut self) -> Result<(), String> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = definitions.get_opt("docsruns.orchestrator.io").await;
        match found {
            Ok(Some(_)) => did("found the kinds of runs defined, and left them as they are"),
            Ok(None) => {
                self.definitions_are_ours = true;
                let installed = controller::install_crds(self.client.clone()).await;
                installed.map_err(|error| error.to_string())?;
                did("defined the kinds of runs");
            }
            Err(error) => did(&format!(
                "could not look whether the kinds of runs are defined ({error}); took it that they are"
            )),
        }
        Ok(())
    }

    /// Removes everything; what could not be.
    pub async fn remove(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        // Runs first, while the controller can still let them go.
        for patch in [false, true] {
            self.delete_runs::<DocsRun>(patch).await;
            self.delete_runs::<CodeRun>(patch).await;
            if patch {
                break;
            }
            if let Some((stop, controller)) = self.controller.take() {
                drop(stop);
                if tokio::time::timeout(PATIENCE, controller).await.is_err() {
                    failures.push("the controller did not end".to_owned());
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
            did("removed everything that was made");
        }
        failures
    }

    /// Deletes the runs and waits a while; with `patch` takes away what holds those that are still there.
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
            tokio::time::sleep(LOOK_AGAIN * 2).await;
        }
    }
}

/// Says one thing that was done.
fn did(what: &str) {
    said(&format!("REAL   {what}"));
}

/// What the tests write as JSON.
pub fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Creates an object; the sentence of a refusal.
pub async fn make<K>(api: &Api<K>, object: &K) -> Result<K, String>
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
        format!("the {kind} {} cannot be made: {error}", object.name_any())
    })
}

/// Makes a namespace in which pods can be made: a real cluster wants the account they run as to be there.
pub async fn make_namespace(
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
                // The embedded cluster knows no accounts at all, and answers the same.
                let served = client.list_core_api_resources("v1").await;
                let served = served.map_err(|error| error.to_string())?;
                if !served
                    .resources
                    .iter()
                    .any(|kind| kind.name == "serviceaccounts")
                {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            _ => return Ok(()),
        }
    }
    Err(format!("the namespace {name} gets no default account"))
}

/// Deletes an object and waits until it is gone.
pub async fn gone<K>(api: &Api<K>, name: &str) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let kind = K::kind(&());
    let begun = std::time::Instant::now();
    drop(api.delete(name, &DeleteParams::background()).await);
    loop {
        match api.get_metadata_opt(name).await {
            Ok(None) => return Ok(()),
            _ if begun.elapsed() < PATIENCE => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(Some(_)) => return Err(format!("{kind} {name} is still there")),
            Err(error) => return Err(format!("{kind} {name} may still be there: {error}")),
        }
    }
}

/// Namespaces and definitions of any play that are there.
pub async fn left_behind(client: &Client) -> Vec<String> {
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
