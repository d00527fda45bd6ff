//! Builds cluster clients that honour the environment's proxy settings.
//!
//! kube's own client ignores `NO_PROXY`, so the proxy is chosen here.

use std::time::Duration;

use hyper_util::{
    client::{
        legacy::{Client as Http, connect::HttpConnector},
        proxy::matcher::Matcher,
    },
    rt::TokioExecutor,
};
use kube::{
    Config,
    client::{Body, ClientBuilder, ConfigExt, DynBody},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxService};

use super::{
    ClientError,
    plugin::{Plugin, Prompts},
};
use crate::proxy;

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The service that a client sends its requests to.
pub type Stack = BoxService<http::Request<Body>, http::Response<Box<DynBody>>, BoxError>;

/// Returns a client builder for `config`. A proxy set in the kubeconfig takes precedence over the environment. Runs
/// the credential plugin, if there is one.
///
/// # Errors
/// If the configuration is invalid, the credential plugin fails, or the proxy is not supported. Errors never contain
/// the proxy's password.
pub async fn builder(
    mut config: Config,
    prompts: Prompts,
) -> Result<ClientBuilder<Stack>, ClientError> {
    let plugin = Plugin::log_in(&mut config.auth_info, prompts).await?;
    let environment = ["HTTPS_PROXY", "https_proxy"].map(|name| std::env::var(name).ok());
    let own = config
        .proxy_url
        .as_ref()
        .map(ToString::to_string)
        .filter(|url| {
            let same = |named: &String| named.trim_end_matches('/') == url.trim_end_matches('/');
            !environment.iter().flatten().any(same)
        });
    let proxies = match own {
        Some(url) => Matcher::builder().all(url).build(),
        None => Matcher::from_env(),
    };
    let builder = with_proxies(config, &proxies)?;
    Ok(match plugin {
        Some(plugin) => builder.with_layer(&plugin),
        None => builder,
    })
}

fn with_proxies(
    mut config: Config,
    proxies: &Matcher,
) -> Result<ClientBuilder<Stack>, ClientError> {
    config.proxy_url = None;
    let unusable = |error: kube::Error| ClientError::Client(Box::new(error));
    let found = proxy::proxy_for(&config.cluster_url, proxies).map_err(ClientError::Proxy)?;
    let Some(found) = found else {
        return ClientBuilder::try_from(config).map_err(unusable);
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let tunnel = proxy::tunnel(&found, tcp);
    let https = config.rustls_https_connector_with_connector(tunnel);
    let http = Http::builder(TokioExecutor::new()).build::<_, Body>(https.map_err(unusable)?);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(unusable)?)
        .layer(config.extra_headers_layer().map_err(unusable)?)
        .map_err(BoxError::from)
        .service(http)
        .map_response(|response: http::Response<hyper::body::Incoming>| {
            response.map(|body| {
                Box::new(http_body_util::BodyExt::map_err(body, BoxError::from)) as Box<DynBody>
            })
        });
    Ok(ClientBuilder::new(
        BoxService::new(stack),
        config.default_namespace,
    ))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// A proxy that refuses each request and returns the request's headers.
    async fn refusing_proxy() -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let request_head = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut lines = BufReader::new(stream).lines();
            let mut head = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap().filter(|l| !l.is_empty()) {
                head.push(line);
            }
            let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
            lines.get_mut().write_all(answer).await.unwrap();
            head
        });
        (address.to_string(), request_head)
    }

    #[tokio::test]
    async fn connects_through_proxy_without_leaking_its_password() {
        let (address, request_head) = refusing_proxy().await;
        let config = Config::new("https://cluster.example:6443".parse().unwrap());
        let url = format!("http://ada:s3cret@{address}");
        let proxies = Matcher::builder().all(url).build();
        let client = with_proxies(config, &proxies).unwrap().build();
        let error = client.apiserver_version().await.unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
        let request_head = request_head.await.unwrap();
        assert_eq!(request_head[0], "CONNECT cluster.example:6443 HTTP/1.1");
        // `ada:s3cret`
        let password = "basic ywrhonmzy3jlda==";
        let is_password = |line: &String| line.to_lowercase().ends_with(password);
        assert!(request_head.iter().any(is_password), "{request_head:?}");
    }

    #[tokio::test]
    async fn names_unsupported_proxy_without_its_password() {
        let config = || Config::new("https://cluster.example:6443".parse().unwrap());
        let socks = Matcher::builder()
            .all("socks5://ada:s3cret@proxy.example:1080")
            .build();
        let error = with_proxies(config(), &socks).err().unwrap().to_string();
        assert!(
            error.contains("proxy.example") && !error.contains("s3cret"),
            "{error}"
        );
        let passed_by = Matcher::builder()
            .all("socks5://proxy.example:1080")
            .no("cluster.example")
            .build();
        assert!(with_proxies(config(), &passed_by).is_ok());
    }
}
