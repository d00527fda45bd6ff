//! GET of resources: an object, a list, a watch or a log.

use futures::StreamExt;
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::{
    Service,
    call::Call,
    response::{ResponseBody, bytes_response, stream_response},
};
use crate::{
    list::{self, Scope},
    list_options::{ListOptions, WatchOptions, revision},
    node::{LogError, LogQuery},
    status::{Cause, StatusError},
    watch,
};

impl Service {
    pub(super) fn get(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let state = self.store.read();
        if let Some(asked) = revision(call.params.text("resourceVersion"))?
            && asked > state.revision()
        {
            return Err(StatusError::too_new(asked, state.revision()));
        }
        let object = state
            .get(&call.kind.resource, &call.key(name))
            .cloned()
            .ok_or_else(|| StatusError::not_found(&call.kind, name))?;
        drop(state);
        Ok(call.object(StatusCode::OK, &object))
    }

    pub(super) async fn log(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let found = self
            .store
            .read()
            .get(&call.kind.resource, &call.key(name))
            .cloned();
        let object = found.ok_or_else(|| StatusError::not_found(&call.kind, name))?;
        let pod = Pod::deserialize(&object.value)
            .map_err(|error| StatusError::internal(format!("cannot decode the pod: {error}")))?;
        let params = &call.params;
        let since_time = match params.text("sinceTime") {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                StatusError::bad_request(format!("sinceTime: invalid time {text:?}"))
            })?),
        };
        let query = LogQuery {
            container: Some(params.text("container").to_owned()),
            follow: params.flag("follow"),
            previous: params.flag("previous"),
            timestamps: params.flag("timestamps"),
            since_time,
            since_seconds: params.number("sinceSeconds")?,
            tail_lines: params.number("tailLines")?,
            limit_bytes: params.number("limitBytes")?,
        };
        if query.since_time.is_some() && query.since_seconds.is_some() {
            let cause = Cause {
                reason: "FieldValueForbidden",
                field: "sinceSeconds".to_owned(),
                message: "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
                    .to_owned(),
            };
            return Err(StatusError::invalid(&call.kind, name, &[cause]));
        }
        let lines = self
            .logs
            .open(&pod, &query)
            .await
            .map_err(|error| match error {
                LogError::BadRequest(why) => StatusError::bad_request(why),
                LogError::Read(_) => StatusError::internal(error.to_string()),
            })?;
        // On a read error the stream ends; the client reconnects from where it was.
        let lines = lines.take_while(|bytes| std::future::ready(bytes.is_ok()));
        let lines = lines.filter_map(|bytes| std::future::ready(bytes.ok()));
        Ok(stream_response(lines, "text/plain"))
    }

    pub(super) fn list(&self, call: &Call) -> Result<Response<ResponseBody>, StatusError> {
        let scope = call.scope()?;
        let options = ListOptions::parse(&call.params)?;
        let body = list::page(&self.store.read(), &call.kind, &scope, &options)?;
        Ok(bytes_response(
            StatusCode::OK,
            body.into(),
            "application/json",
        ))
    }

    pub(super) fn watch(&self, call: &Call) -> Result<Response<ResponseBody>, StatusError> {
        self.watch_scope(call, call.scope()?)
    }

    pub(super) fn watch_scope(
        &self,
        call: &Call,
        scope: Scope,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let options = WatchOptions::parse(&call.params)?;
        let lines = watch::open(&self.store, &call.kind, scope, &options)?;
        Ok(stream_response(lines, "application/json"))
    }
}
