//! Access over HTTPS: the kubeconfig, the token, and connections that misbehave.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::APIResourceList,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{TIMEOUT, open_cluster};
use flightdeck_testing::https_cluster::{
    HttpsCluster, client, connect, connect_http, connect_tls, token,
};
use kube_embedded::{
    Cluster,
    serve::{Server, ServerOptions},
};

/// Opens and serves the cluster of a directory.
async fn serve(directory: &Path) -> (Cluster, Server) {
    let cluster = open_cluster(directory, 0).await;
    let server = Server::start(&cluster, directory).await.unwrap();
    (cluster, server)
}

#[tokio::test]
async fn kubeconfig_gives_full_access() {
    let cluster = HttpsCluster::start().await;
    let api = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
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
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    assert!(namespaces.get("default").await.is_ok());
    cluster.shutdown().await;
}

#[tokio::test]
async fn kubeconfig_stays_valid_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, server) = serve(directory.path()).await;
    let before = fs::read_to_string(&server.endpoint().kubeconfig).unwrap();
    server.shutdown().await;
    cluster.shutdown().await;
    let (cluster, server) = serve(directory.path()).await;
    let client = client(&server.endpoint().kubeconfig).await;
    client.list_api_groups().await.unwrap();
    let after = fs::read_to_string(&server.endpoint().kubeconfig).unwrap();
    assert_eq!(after, before);
    server.shutdown().await;
    cluster.shutdown().await;
}

/// Returns options that let silent connections stay open.
fn without_timeout() -> ServerOptions {
    ServerOptions {
        auth_timeout: Duration::from_secs(3600),
        ..ServerOptions::default()
    }
}

/// Returns every path that discovery lists, and those outside of discovery.
async fn every_path(client: &Client) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/readyz",
        "/version",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/nonsense",
    ]
    .map(str::to_owned)
    .into();
    let mut lists = vec![(
        "/api/v1".to_owned(),
        client.list_core_api_resources("v1").await.unwrap(),
    )];
    for group in client.list_api_groups().await.unwrap().groups {
        paths.insert(format!("/apis/{}", group.name));
        for version in group.versions {
            let list: APIResourceList = client
                .list_api_group_resources(&version.group_version)
                .await
                .unwrap();
            lists.push((format!("/apis/{}", version.group_version), list));
        }
    }
    for (base, list) in lists {
        paths.insert(format!("/openapi/v3{base}"));
        paths.insert(base.clone());
        for resource in list.resources {
            let scope = if resource.namespaced {
                "/namespaces/default"
            } else {
                ""
            };
            if let Some((plural, sub)) = resource.name.split_once('/') {
                paths.insert(format!("{base}{scope}/{plural}/x/{sub}"));
            } else {
                let plural = &resource.name;
                paths.insert(format!("{base}{scope}/{plural}"));
                paths.insert(format!("{base}{scope}/{plural}/x"));
                paths.insert(format!("{base}/{plural}?watch=true"));
            }
        }
    }
    paths
}

#[tokio::test]
async fn every_path_and_verb_needs_the_token() {
    let cluster = HttpsCluster::start_with(without_timeout()).await;
    let paths = every_path(&cluster.client).await;
    assert!(paths.len() > 40, "{paths:?}");
    assert!(paths.iter().any(|path| path.ends_with("/pods/x/log")));
    let mut http = connect_http(cluster.server.endpoint()).await;
    let mut sent = 0;
    for path in &paths {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            // Rotate through the wrong headers.
            let authorization = [
                None,
                Some("Bearer "),
                Some("Bearer wrong"),
                Some("Basic d3Jvbmc="),
            ];
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "localhost");
            if let Some(wrong) = authorization[sent % 4] {
                request = request.header("authorization", wrong);
            }
            sent += 1;
            http.ready().await.unwrap();
            let request = request.body(Full::new(Bytes::new())).unwrap();
            let response = http.send_request(request).await.unwrap();
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            let refused = body.contains("\"reason\":\"Unauthorized\"");
            assert!(refused || method == "HEAD", "{method} {path}: {body}");
        }
    }
    assert_eq!(
        *cluster.server.clients().borrow(),
        1,
        "connections without the token are not counted"
    );
    cluster.shutdown().await;
}

/// Reads a connection until the server closes it.
async fn read_to_close(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    // A reset counts as closed.
    let _ = tokio::time::timeout(TIMEOUT, read)
        .await
        .expect("the connection stays open");
    all
}

/// Sends a request that must succeed.
async fn check_access(client: &Client) {
    let answer = tokio::time::timeout(TIMEOUT, client.list_api_groups()).await;
    answer.expect("requests are no longer answered").unwrap();
}

#[tokio::test]
async fn slow_and_idle_connections_are_closed() {
    let options = ServerOptions {
        auth_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let cluster = HttpsCluster::start_with(options).await;
    let endpoint = cluster.server.endpoint();
    assert!(read_to_close(connect(endpoint).await).await.is_empty());
    // A request that never ends.
    let mut slow = connect_tls(endpoint, "127.0.0.1").await.unwrap();
    slow.write_all(b"GET /api HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    assert!(read_to_close(slow).await.is_empty());
    // An idle connection after a request with the token.
    let mut idle = connect_tls(endpoint, "127.0.0.1").await.unwrap();
    let token = token(endpoint);
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(read_to_close(idle).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    check_access(&cluster.client).await;
    let mut clients = cluster.server.clients();
    clients.wait_for(|&open| open == 0).await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn silent_connections_do_not_block_clients() {
    let cluster = HttpsCluster::start_with(without_timeout()).await;
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(connect(cluster.server.endpoint()).await);
    }
    check_access(&cluster.client).await;
    // The oldest was closed to make room; the newest is still open.
    let first = silent.swap_remove(0);
    assert!(read_to_close(first).await.is_empty());
    let mut byte = [0];
    let last = silent.pop().unwrap().try_read(&mut byte).unwrap_err();
    assert_eq!(last.kind(), std::io::ErrorKind::WouldBlock);
    drop(silent);
    check_access(&cluster.client).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn malformed_connections_do_no_harm() {
    let cluster = HttpsCluster::start().await;
    let endpoint = cluster.server.endpoint();
    // Plain HTTP.
    let mut plain = connect(endpoint).await;
    plain
        .write_all(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_close(plain).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let mut noise = connect(endpoint).await;
    noise.write_all(&[0xff; 4096]).await.unwrap();
    read_to_close(noise).await;
    // The certificate is not valid for the first name, but for the second.
    assert!(connect_tls(endpoint, "elsewhere.example").await.is_err());
    assert!(connect_tls(endpoint, "localhost").await.is_ok());
    // Headers of 1 MiB.
    let mut long = connect_tls(endpoint, "127.0.0.1").await.unwrap();
    let head = format!(
        "GET /api HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let _ = long.write_all(head.as_bytes()).await;
    let answer = String::from_utf8(read_to_close(long).await).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    check_access(&cluster.client).await;
    cluster.shutdown().await;
}

/// Clients verify the certificate; the server ignores the Host header.
#[tokio::test]
async fn host_header_is_ignored() {
    let cluster = HttpsCluster::start().await;
    let endpoint = cluster.server.endpoint();
    let mut http = connect_http(endpoint).await;
    for (host, authorization, status) in [
        ("elsewhere.example", None, StatusCode::UNAUTHORIZED),
        ("elsewhere.example", Some(token(endpoint)), StatusCode::OK),
    ] {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri("/api")
            .header("host", host);
        if let Some(token) = authorization {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::new())).unwrap();
        http.ready().await.unwrap();
        assert_eq!(http.send_request(request).await.unwrap().status(), status);
    }
    cluster.shutdown().await;
}
