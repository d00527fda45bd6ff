//! The service behind the token check: the API, with faults injected if the feature `fault` is on.

#[cfg(feature = "fault")]
mod selected {
    use tower::Layer;

    use crate::{
        ResponseBody, Service,
        fault::{self, FaultService},
        serve::ServerOptions,
    };

    pub(crate) use crate::fault::{ConnectionCut as Error, FaultyBody as Body};

    pub(crate) type Backend = FaultService<Service>;

    pub(crate) fn backend(service: Service, options: &ServerOptions) -> Backend {
        options.faults.layer().layer(service)
    }

    pub(crate) fn body(body: ResponseBody) -> Body {
        fault::whole(body)
    }
}

#[cfg(not(feature = "fault"))]
mod selected {
    use crate::{ResponseBody, Service, serve::ServerOptions};

    pub(crate) use crate::ResponseBody as Body;
    pub(crate) use std::convert::Infallible as Error;

    pub(crate) type Backend = Service;

    pub(crate) fn backend(service: Service, _: &ServerOptions) -> Backend {
        service
    }

    pub(crate) fn body(body: ResponseBody) -> Body {
        body
    }
}

pub(super) use selected::{Backend, Body, Error, backend, body};
