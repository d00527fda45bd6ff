//! The API as a `tower::Service`, from which a `kube::Client` can be made and which the HTTPS server serves.

mod call;
mod reads;
mod response;
mod review;
mod server_info;
mod writes;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response, header};
use hyper::body::Body;

use super::{
    Identity,
    kinds::{PODS, Registry},
    node::Logs,
    representation::{IncludeObject, Representation},
    route::{Params, Target},
    selector::Selector,
    status::StatusError,
    store::Store,
};
use call::{BoxError, Call, header_text, read_body};
pub use response::ResponseBody;
pub(crate) use response::error_response;
use review::review;

/// The API of one cluster. Clones share the cluster.
#[derive(Clone)]
pub struct Service {
    store: Store,
    logs: Arc<Logs>,
    identity: Arc<Identity>,
}

impl Service {
    pub(super) fn new(store: Store, logs: Logs, identity: Identity) -> Self {
        Self {
            store,
            logs: Arc::new(logs),
            identity: Arc::new(identity),
        }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            Ok(service
                .respond(request)
                .await
                .unwrap_or_else(|error| error_response(&error)))
        })
    }
}

impl Service {
    fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.store.read().registry())
    }

    async fn respond<B>(&self, request: Request<B>) -> Result<Response<ResponseBody>, StatusError>
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let target = Target::parse(head.uri.path()).ok_or_else(StatusError::no_such_path)?;
        if let Target::Resource(path) = target {
            let params = Params::parse(&head.uri);
            let body = read_body(body).await?;
            if let Some(respond) = review(&head.method, &path, &head.headers, &body) {
                return respond;
            }
            let accept = header_text(&head.headers, header::ACCEPT);
            let kind = self
                .registry()
                .find(&path.group, &path.version, &path.plural)
                .cloned()
                .ok_or_else(|| StatusError::not_served(&path.qualified()))?;
            if path.namespace.is_empty() && path.name.is_some() && kind.namespaced
                || !path.namespace.is_empty() && !kind.namespaced
            {
                return Err(StatusError::no_such_path());
            }
            // Logs are always text/plain.
            let representation = if path.subresource.as_deref() == Some("log") {
                Representation::Full
            } else {
                let include = IncludeObject::parse(params.text("includeObject"))?;
                Representation::negotiate(accept, include)?
            };
            let call = Call {
                kind,
                path,
                params,
                representation,
                headers: head.headers,
                body,
            };
            return self.resource(&head.method, call).await;
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(StatusError::method_not_allowed());
        }
        server_info::respond(
            &self.store.read(),
            &self.identity,
            &target,
            &head.uri,
            &head.headers,
        )
    }

    async fn resource(
        &self,
        method: &Method,
        call: Call,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let name = call.path.name.clone();
        let subresource = call.path.subresource.clone();
        let status = match subresource.as_deref() {
            Some("log") if &*call.kind.resource == PODS && method == Method::GET => {
                return self.log(&call, &name.unwrap_or_default()).await;
            }
            None => false,
            Some("status") if call.kind.status => true,
            Some(other) => {
                let what = format!("{}/{other}", call.path.qualified());
                return Err(StatusError::not_served(&what));
            }
        };
        match (method.as_str(), name) {
            ("GET", None) if call.params.flag("watch") => self.watch(&call),
            ("GET", None) => self.list(&call),
            ("GET", Some(name)) if call.params.flag("watch") && !status => {
                let fields = format!("metadata.name={name}");
                let mut scope = call.scope()?;
                scope.selector = Selector::parse(&call.kind, "", &fields)?;
                self.watch_scope(&call, scope)
            }
            ("GET", Some(name)) => self.get(&call, &name),
            ("POST", None) => self.create(call).await,
            ("PUT", Some(name)) => self.put(call, name, status).await,
            ("PATCH", Some(name)) => self.patch(call, name, status).await,
            ("DELETE", Some(name)) if !status => self.delete(call, name).await,
            ("DELETE", None) => self.delete_collection(call).await,
            _ => Err(StatusError::method_not_allowed()),
        }
    }
}
