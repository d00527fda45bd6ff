//! POST, PUT, PATCH and DELETE of resources.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use serde_json::json;

use super::{
    Service,
    call::{Call, header_text, parse_body},
    response::{ResponseBody, bytes_response, json_response},
};
use crate::{
    kinds::PODS,
    list,
    list_options::ListOptions,
    object::Key,
    patch::PatchType,
    status::StatusError,
    write::{self, Deleted, Edit},
};

/// Media type prefix of server-side apply.
const APPLY: &str = "application/apply-patch+";

/// Kinds whose deletion returns the object, as in Kubernetes.
const RETURNED: [&str; 2] = [PODS, "persistentvolumeclaims"];

impl Service {
    pub(super) async fn create(&self, call: Call) -> Result<Response<ResponseBody>, StatusError> {
        let body = parse_body(&call.headers, &call.body)?;
        let dry_run = call.params.dry_run("CreateOptions")?;
        let options = call.write_options("CreateOptions")?;
        let duplicates = call.duplicates(options.field_validation)?;
        let (kind, namespace) = (Arc::clone(&call.kind), call.path.namespace.clone());
        let mut result = self
            .store
            .write(dry_run, move |transaction| {
                write::create(transaction, &kind, &namespace, body, &options)
            })
            .await?;
        result.warnings.extend(duplicates);
        Ok(call.written(StatusCode::CREATED, &result))
    }

    pub(super) async fn put(
        &self,
        call: Call,
        name: String,
        status: bool,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let body = parse_body(&call.headers, &call.body)?;
        self.change(call, name, status, Edit::Put(body)).await
    }

    pub(super) async fn patch(
        &self,
        call: Call,
        name: String,
        status: bool,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let media_type = header_text(&call.headers, header::CONTENT_TYPE);
        let edit = if media_type.starts_with(APPLY) {
            Edit::Apply {
                config: parse_body(&call.headers, &call.body)?,
                force: call.params.flag("force"),
            }
        } else {
            let patch_type = PatchType::from_content_type(media_type)
                .filter(|kind| *kind != PatchType::Strategic || !call.kind.is_custom());
            let Some(patch_type) = patch_type else {
                let mut accepted = vec![
                    "application/json-patch+json",
                    "application/merge-patch+json",
                ];
                if !call.kind.is_custom() {
                    accepted.push("application/strategic-merge-patch+json");
                }
                accepted.push("application/apply-patch+yaml");
                return Err(StatusError::unsupported_media_type(&accepted));
            };
            Edit::Patch(patch_type, parse_body(&call.headers, &call.body)?)
        };
        self.change(call, name, status, edit).await
    }

    async fn change(
        &self,
        call: Call,
        name: String,
        status: bool,
        edit: Edit,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let name_of_options = match edit {
            Edit::Put(_) => "UpdateOptions",
            Edit::Patch(..) | Edit::Apply { .. } => "PatchOptions",
        };
        let dry_run = call.params.dry_run(name_of_options)?;
        let mut options = call.write_options(name_of_options)?;
        let duplicates = call.duplicates(options.field_validation)?;
        if matches!(edit, Edit::Apply { .. }) {
            call.params
                .text("fieldManager")
                .clone_into(&mut options.manager);
        }
        let (kind, key) = (Arc::clone(&call.kind), call.key(&name));
        let (before, mut result) = self
            .store
            .write(dry_run, move |transaction| {
                let before = transaction.get(&kind.resource, &key).is_some();
                let result = write::update(transaction, &kind, &key, status, edit, &options)?;
                Ok((before, result))
            })
            .await?;
        let code = if before {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        result.warnings.extend(duplicates);
        Ok(call.written(code, &result))
    }

    pub(super) async fn delete(
        &self,
        call: Call,
        name: String,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let (options, dry_run) = call.delete_options()?;
        let (kind, key) = (Arc::clone(&call.kind), call.key(&name));
        let deleted = self
            .store
            .write(dry_run, move |transaction| {
                write::delete(transaction, &kind, &key, &options)
            })
            .await?;
        match deleted {
            Deleted::Terminating(object) => Ok(call.object(StatusCode::OK, &object)),
            Deleted::Removed(object) if RETURNED.contains(&&*call.kind.resource) => {
                Ok(call.object(StatusCode::OK, &object))
            }
            Deleted::Removed(object) => Ok(json_response(
                StatusCode::OK,
                &json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {"name": name, "group": call.kind.group, "kind": call.kind.plural, "uid": object.uid()},
                }),
            )),
        }
    }

    pub(super) async fn delete_collection(
        &self,
        call: Call,
    ) -> Result<Response<ResponseBody>, StatusError> {
        let (options, dry_run) = call.delete_options()?;
        let scope = call.scope()?;
        let body = list::page(&self.store.read(), &call.kind, &scope, &ListOptions::all())?;
        let keys: Vec<Key> = {
            let state = self.store.read();
            let all = state.collection(&call.kind.resource);
            all.into_iter()
                .flat_map(|collection| collection.range(&scope.namespace, None))
                .filter(|object| scope.contains(object))
                .map(|object| object.key.clone())
                .collect()
        };
        let kind = Arc::clone(&call.kind);
        self.store
            .write(dry_run, move |transaction| {
                for key in keys {
                    match write::delete(transaction, &kind, &key, &options) {
                        Err(error) if error.code != 404 => return Err(error),
                        _ => {}
                    }
                }
                Ok(())
            })
            .await?;
        Ok(bytes_response(
            StatusCode::OK,
            body.into(),
            "application/json",
        ))
    }
}
