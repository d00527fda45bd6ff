//! Counts API requests by verb, resource and code, as in RBAC.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response, Uri};
use tower::{Layer, Service};

use super::Metrics;

/// A tower layer that counts requests.
#[derive(Clone)]
pub struct CountRequests(pub Metrics);

/// A service that counts requests.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            metrics: self.0.clone(),
        }
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let call = classify(request.method(), request.uri());
        let response = self.inner.call(request);
        let metrics = self.metrics.clone();
        Box::pin(async move {
            let response = response.await;
            let code = response
                .as_ref()
                .map_or(0, |response| response.status().as_u16());
            metrics.request(call.verb, &call.resource, code);
            response
        })
    }
}

/// A request in terms of RBAC.
#[derive(Debug, PartialEq, Eq)]
struct ApiCall {
    verb: &'static str,
    /// Such as `docsruns/status`; empty for a path that is not a resource.
    resource: String,
}

fn classify(method: &Method, uri: &Uri) -> ApiCall {
    let parts: Vec<&str> = uri
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let below = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let below = match below {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let (resource, named) = match below {
        [] => (String::new(), true),
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, subresource, ..] => (format!("{resource}/{subresource}"), true),
    };
    let watches = uri.query().is_some_and(|query| {
        let mut pairs = query.split('&');
        pairs.any(|pair| pair == "watch=true" || pair == "watch=1")
    });
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    };
    ApiCall { verb, resource }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_requests_by_verb_and_resource() {
        let runs = "/apis/orchestrator.io/v1/namespaces/default/docsruns";
        for (method, uri, verb, resource) in [
            (Method::GET, runs.to_owned(), "list", "docsruns"),
            (
                Method::GET,
                format!("{runs}?limit=5&watch=true"),
                "watch",
                "docsruns",
            ),
            (Method::GET, format!("{runs}/docs-1"), "get", "docsruns"),
            (
                Method::PATCH,
                format!("{runs}/docs-1/status?force=true"),
                "patch",
                "docsruns/status",
            ),
            (
                Method::POST,
                "/apis/batch/v1/namespaces/default/jobs".into(),
                "create",
                "jobs",
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/default/jobs/x".into(),
                "delete",
                "jobs",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/default/pods/x/log?container=a".into(),
                "get",
                "pods/log",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/default".into(),
                "get",
                "namespaces",
            ),
            (
                Method::GET,
                "/api/v1/namespaces".into(),
                "list",
                "namespaces",
            ),
            (Method::GET, "/version".into(), "get", ""),
        ] {
            let found = classify(&method, &uri.parse().unwrap());
            assert_eq!(
                (found.verb, found.resource.as_str()),
                (verb, resource),
                "{method} {uri}"
            );
        }
    }
}
