//! `flightdeck manifests`: what a cluster is given so that runs work there, as YAML for `kubectl apply --server-side -f -`.
//!
//! Pure but for printing: nothing is read from a cluster, and nothing is sent to one. `config/crd`, `config/rbac` and
//! `config/deploy` hold the same with every option at its default; tests keep them so.

mod deploy;
pub mod rbac;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output;
use flightdeck_core::{resources, runs::RunKind, yaml};
use flightdeck_host::settings::Settings;

/// The namespace that is meant where none is named.
pub const NAMESPACE: &str = "flightdeck";

/// `manifests`
#[derive(Debug, Args)]
pub struct Manifests {
    /// What to print.
    #[arg(value_enum)]
    pub what: What,
    #[command(flatten)]
    pub options: Options,
}

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The definitions of DocsRun and CodeRun. Cluster-wide, applied once by an administrator.
    Crds,
    /// Service accounts, and the Roles of controller, user, viewer and cleaner.
    Rbac,
    /// The controller: its account and Role, its settings, its Deployment, what keeps one of its pods.
    Controller,
    /// All of it. The namespace too, unless --namespace names one of your own.
    All,
}

/// How it is named, and what it runs.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Image of the controller, and of the prep and publish stages (see Dockerfile).
    #[arg(long, default_value_t = default_image())]
    pub image: String,
    /// How the names of everything begin.
    #[arg(long, value_name = "NAME", default_value = "flightdeck")]
    pub name: String,
    /// Controllers that run at once; one works, the others stand by.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub replicas: u16,
    /// The controller's settings; without it, a file that names the image and leaves the rest at its default.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image: default_image(),
            name: "flightdeck".to_owned(),
            replicas: 2,
            settings: None,
        }
    }
}

fn default_image() -> String {
    format!("flightdeck:{}", env!("CARGO_PKG_VERSION"))
}

/// One file of `config/`: what it holds may be applied by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below `config/`.
    pub path: &'static str,
    /// YAML, one or more documents.
    pub text: String,
}

/// Prints what was asked for.
pub fn print(manifests: &Manifests, namespace: Option<&str>) -> anyhow::Result<u8> {
    for file in files(manifests, namespace)? {
        // A document begins with its separator, so that any of the files can be joined.
        output::line(file.text.trim_end())?;
    }
    Ok(0)
}

/// The files that hold what was asked for.
///
/// # Errors
/// A name that Kubernetes would refuse; settings that cannot be read.
pub fn files(manifests: &Manifests, namespace: Option<&str>) -> anyhow::Result<Vec<File>> {
    let options = &manifests.options;
    let place = namespace.unwrap_or(NAMESPACE);
    // The longest name made of it is `<name>-controller`.
    for (what, name, most) in [
        ("--namespace", place, 63),
        ("--name", options.name.as_str(), 50),
    ] {
        if !is_label(name) || name.len() > most {
            anyhow::bail!(
                "{what} {name:?}: write small letters, digits and inner dashes, at most {most}"
            );
        }
    }
    if options.image.is_empty()
        || options
            .image
            .contains(|c: char| c.is_whitespace() || c.is_control())
    {
        anyhow::bail!("--image {:?} is not the name of an image", options.image);
    }
    let all = manifests.what == What::All;
    let mut files = Vec::new();
    if all && namespace.is_none() {
        files.push(deploy::namespace(place)?);
    }
    if all || manifests.what == What::Crds {
        for kind in RunKind::ALL {
            files.push(definition(kind)?);
        }
    }
    if manifests.what != What::Crds {
        let roles = rbac::files(place, &options.name)?.into_iter();
        let every = all || manifests.what == What::Rbac;
        files.extend(roles.filter(|file| every || file.path == rbac::CONTROLLER.path));
    }
    if all || manifests.what == What::Controller {
        let settings = settings(options)?;
        files.push(deploy::controller(place, options, &settings)?);
    }
    Ok(files)
}

fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn definition(kind: RunKind) -> anyhow::Result<File> {
    let text = format!(
        "---\n# Made from the Rust types; `UPDATE=1 cargo test shipped` writes it anew.\n{}",
        yaml::to_string(&resources::definition(kind.into()))?
    );
    let path = match kind {
        RunKind::Docs => "crd/docsruns.yaml",
        RunKind::Code => "crd/coderuns.yaml",
    };
    Ok(File { path, text })
}

/// The text of the settings: the person's file, once it was read without complaint.
fn settings(options: &Options) -> anyhow::Result<String> {
    let text = match &options.settings {
        Some(file) => {
            let name = file.display().to_string();
            std::fs::read_to_string(file).context(name)?
        }
        None => deploy::settings(options),
    };
    let name = options.settings.as_ref().map_or_else(
        || "the settings".to_owned(),
        |file| file.display().to_string(),
    );
    Settings::for_controller(&text).map_err(|refused| anyhow::anyhow!("{name}: {refused}"))?;
    Ok(text)
}

/// A document with a line or more about it.
fn document(about: &str, object: &impl Serialize) -> anyhow::Result<String> {
    let about = about.replace('\n', "\n# ");
    Ok(format!("---\n# {about}\n{}", yaml::to_string(object)?))
}
