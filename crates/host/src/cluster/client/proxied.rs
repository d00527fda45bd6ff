//! The client of a cluster, through a proxy where one stands between.
//!
//! The library's own takes the proxy of the environment without heeding `NO_PROXY`, so the way is chosen here.

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

/// Until a connection stands.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// What a client sends its requests to.
pub type Stack = BoxService<http::Request<Body>, http::Response<Box<DynBody>>, BoxError>;

/// A client to be built: `config` is a kubeconfig's, whose own proxy wins over that of the environment. Runs the credential
/// plugin, if there is one.
///
/// # Errors
/// When the configuration makes no client, the credential plugin fails, or the proxy is none that is known. The proxy's password
/// is never in them.
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
    let builder = by_way_of(config, &proxies)?;
    Ok(match plugin {
        Some(plugin) => builder.with_layer(&plugin),
        None => builder,
    })
}

fn by_way_of(mut config: Config, proxies: &Matcher) -> Result<ClientBuilder<Stack>, ClientError> {
    config.proxy_url = None;
    let unusable = |error: kube::Error| ClientError::Client(Box::new(error));
    let found = proxy::before(&config.cluster_url, proxies).map_err(ClientError::Proxy)?;
    let Some(found) = found else {
        return ClientBuilder::try_from(config).map_err(unusable);
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
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

    /// A proxy that answers each request with a refusal, and tells what it was asked.
    async fn refusing_proxy() -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
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
        (address.to_string(), asked)
    }

    #[tokio::test]
    async fn a_cluster_is_asked_through_its_proxy_whose_password_no_error_shows() {
        let (address, asked) = refusing_proxy().await;
        let config = Config::new("https://cluster.example:6443".parse().unwrap());
        let url = format!("http://ada:s3cret@{address}");
        let proxies = Matcher::builder().all(url).build();
        let client = by_way_of(config, &proxies).unwrap().build();
        let said = client.apiserver_version().await.unwrap_err();
        assert!(!format!("{said} {said:?}").contains("s3cret"), "{said:?}");
        let asked = asked.await.unwrap();
        assert_eq!(asked[0], "CONNECT cluster.example:6443 HTTP/1.1");
        // `ada:s3cret`
        let password = "basic ywrhonmzy3jlda==";
        let told = |line: &String| line.to_lowercase().ends_with(password);
        assert!(asked.iter().any(told), "{asked:?}");
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_known_is_said_without_its_password() {
        let config = || Config::new("https://cluster.example:6443".parse().unwrap());
        let socks = Matcher::builder()
            .all("socks5://ada:s3cret@proxy.example:1080")
            .build();
        let said = by_way_of(config(), &socks).err().unwrap().to_string();
        assert!(
            said.contains("proxy.example") && !said.contains("s3cret"),
            "{said}"
        );
        let passed_by = Matcher::builder()
            .all("socks5://proxy.example:1080")
            .no("cluster.example")
            .build();
        assert!(by_way_of(config(), &passed_by).is_ok());
    }
}
