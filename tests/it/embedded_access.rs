//! Who may call the embedded cluster: nobody without its token.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use flightdeck::embedded::{Cluster, ClusterOptions, Limits, serve::Server};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

async fn cluster(directory: &Path) -> (Cluster, Server) {
    let cluster = Cluster::open(ClusterOptions {
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 0,
        limits: Limits::default(),
        environment: std::collections::BTreeMap::new(),
    })
    .await
    .unwrap();
    let server = Server::start(&cluster, directory).await.unwrap();
    (cluster, server)
}

async fn client(server: &Server) -> Client {
    let kubeconfig = Kubeconfig::read_from(&server.endpoint().kubeconfig).unwrap();
    Client::try_from(
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap(),
    )
    .unwrap()
}

/// Asks over TLS with these words for a token.
async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    authorization: Option<&str>,
) -> (StatusCode, String) {
    let address = server
        .endpoint()
        .address
        .strip_prefix("https://")
        .unwrap()
        .to_owned();
    let kubeconfig = Kubeconfig::read_from(&server.endpoint().kubeconfig).unwrap();
    let authority = kubeconfig.clusters[0]
        .cluster
        .as_ref()
        .unwrap()
        .certificate_authority_data
        .clone()
        .unwrap();
    let pem = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, authority).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    roots.add(der).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(
        tls.with_root_certificates(roots).with_no_client_auth(),
    ));
    let stream = TcpStream::connect(&address).await.unwrap();
    let stream = tls
        .connect(ServerName::try_from("127.0.0.1").unwrap(), stream)
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", &address);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = sender
        .send_request(request.body(String::new()).unwrap())
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn without_the_token_every_path_and_verb_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_cluster, server) = cluster(directory.path()).await;
    for method in [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ] {
        for path in [
            "/",
            "/api",
            "/apis",
            "/healthz",
            "/version",
            "/openapi/v3",
            "/api/v1/namespaces/default/configmaps",
            "/nonsense",
        ] {
            for authorization in [
                None,
                Some("Bearer "),
                Some("Bearer wrong"),
                Some("Basic d3Jvbmc="),
            ] {
                let (status, body) = ask(&server, method.clone(), path, authorization).await;
                assert_eq!(
                    status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {authorization:?}"
                );
                assert!(body.contains("\"reason\":\"Unauthorized\""), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn with_the_kubeconfig_one_works_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let (_cluster, server) = cluster(directory.path()).await;
    let client = client(&server).await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    let map = ConfigMap {
        metadata: kube::core::ObjectMeta {
            name: Some("one".into()),
            ..Default::default()
        },
        ..ConfigMap::default()
    };
    api.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    assert!(Api::<Namespace>::all(client).get("default").await.is_ok());
}

#[tokio::test]
async fn what_opens_the_door_is_for_its_owner_alone_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, server) = self::cluster(directory.path()).await;
    let kubeconfig = server.endpoint().kubeconfig.clone();
    for name in ["kubeconfig.yaml", "access.json", "endpoint.json"] {
        let mode = fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let before = fs::read_to_string(&kubeconfig).unwrap();
    server.shutdown().await;
    cluster.shutdown().await;
    let (_cluster, server) = self::cluster(directory.path()).await;
    client(&server).await.list_api_groups().await.unwrap();
    assert_eq!(
        fs::read_to_string(&kubeconfig).unwrap(),
        before,
        "a kubeconfig in use stays good"
    );
}
