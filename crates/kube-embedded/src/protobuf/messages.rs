//! Supported messages: numbers and names as in the `generated.proto` files of Kubernetes.

use super::{
    FieldType::{
        BytesMap, Choice, Flag, Message as One, Messages, Number, Text, TextMap, Texts, Time,
    },
    Message,
};

/// Returns the message of a kind.
pub(super) fn of(api_version: &str, kind: &str) -> Option<&'static Message> {
    Some(match (api_version, kind) {
        ("v1", "ConfigMap") => &CONFIG_MAP,
        ("v1", "Namespace") => &NAMESPACE,
        ("v1", "Secret") => &SECRET,
        ("batch/v1", "Job") => &JOB,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => &SUBJECT_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => &ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => &RULES_REVIEW,
        (_, "DeleteOptions") => &DELETE_OPTIONS,
        _ => return None,
    })
}

macro_rules! messages {
    ($($id:ident $name:literal { $($number:literal $field:literal $holds:expr),* $(,)? })*) => {
        $(static $id: Message = Message { name: $name, fields: &[$(($number, $field, $holds)),*] };)*
    };
}

messages! {
    // Filled in by the server; clients send it empty.
    EMPTY "status" {}

    OWNER_REFERENCE "OwnerReference" {
        1 "kind" Text, 3 "name" Text, 4 "uid" Text, 5 "apiVersion" Text, 6 "controller" Choice, 7 "blockOwnerDeletion" Choice,
    }
    METADATA "ObjectMeta" {
        1 "name" Text, 2 "generateName" Text, 3 "namespace" Text, 5 "uid" Text, 6 "resourceVersion" Text, 7 "generation" Number,
        8 "creationTimestamp" Time, 9 "deletionTimestamp" Time, 10 "deletionGracePeriodSeconds" Number, 11 "labels" TextMap,
        12 "annotations" TextMap, 13 "ownerReferences" Messages(&OWNER_REFERENCE), 14 "finalizers" Texts,
    }
    CONFIG_MAP "ConfigMap" { 1 "metadata" One(&METADATA), 2 "data" TextMap, 3 "binaryData" BytesMap, 4 "immutable" Choice }
    SECRET "Secret" {
        1 "metadata" One(&METADATA), 2 "data" BytesMap, 3 "type" Text, 4 "stringData" TextMap, 5 "immutable" Choice,
    }
    NAMESPACE_SPEC "NamespaceSpec" { 1 "finalizers" Texts }
    NAMESPACE_STATUS "NamespaceStatus" { 1 "phase" Text }
    NAMESPACE "Namespace" { 1 "metadata" One(&METADATA), 2 "spec" One(&NAMESPACE_SPEC), 3 "status" One(&NAMESPACE_STATUS) }

    ENV "EnvVar" { 1 "name" Text, 2 "value" Text }
    CONTAINER "Container" {
        1 "name" Text, 2 "image" Text, 3 "command" Texts, 4 "args" Texts, 5 "workingDir" Text, 7 "env" Messages(&ENV),
        8 "resources" One(&EMPTY), 13 "terminationMessagePath" Text, 14 "imagePullPolicy" Text, 16 "stdin" Flag, 17 "stdinOnce" Flag,
        18 "tty" Flag, 20 "terminationMessagePolicy" Text,
    }
    POD_SPEC "PodSpec" {
        2 "containers" Messages(&CONTAINER), 3 "restartPolicy" Text, 4 "terminationGracePeriodSeconds" Number,
        5 "activeDeadlineSeconds" Number, 6 "dnsPolicy" Text, 7 "nodeSelector" TextMap, 8 "serviceAccountName" Text, 10 "nodeName" Text,
        20 "initContainers" Messages(&CONTAINER),
    }
    POD_TEMPLATE "PodTemplateSpec" { 1 "metadata" One(&METADATA), 2 "spec" One(&POD_SPEC) }
    JOB_SPEC "JobSpec" {
        1 "parallelism" Number, 2 "completions" Number, 3 "activeDeadlineSeconds" Number, 5 "manualSelector" Choice,
        6 "template" One(&POD_TEMPLATE), 7 "backoffLimit" Number, 8 "ttlSecondsAfterFinished" Number, 9 "completionMode" Text,
        10 "suspend" Choice,
    }
    JOB "Job" { 1 "metadata" One(&METADATA), 2 "spec" One(&JOB_SPEC), 3 "status" One(&EMPTY) }

    RESOURCE_ATTRIBUTES "ResourceAttributes" {
        1 "namespace" Text, 2 "verb" Text, 3 "group" Text, 4 "version" Text, 5 "resource" Text, 6 "subresource" Text, 7 "name" Text,
    }
    PATH_ATTRIBUTES "NonResourceAttributes" { 1 "path" Text, 2 "verb" Text }
    ACCESS_SPEC "SelfSubjectAccessReviewSpec" {
        1 "resourceAttributes" One(&RESOURCE_ATTRIBUTES), 2 "nonResourceAttributes" One(&PATH_ATTRIBUTES),
    }
    ACCESS_REVIEW "SelfSubjectAccessReview" { 1 "metadata" One(&METADATA), 2 "spec" One(&ACCESS_SPEC), 3 "status" One(&EMPTY) }
    RULES_SPEC "SelfSubjectRulesReviewSpec" { 1 "namespace" Text }
    RULES_REVIEW "SelfSubjectRulesReview" { 1 "metadata" One(&METADATA), 2 "spec" One(&RULES_SPEC), 3 "status" One(&EMPTY) }
    SUBJECT_STATUS "SelfSubjectReviewStatus" { 1 "userInfo" One(&EMPTY) }
    SUBJECT_REVIEW "SelfSubjectReview" { 1 "metadata" One(&METADATA), 2 "status" One(&SUBJECT_STATUS) }

    PRECONDITIONS "Preconditions" { 1 "uid" Text, 2 "resourceVersion" Text }
    DELETE_OPTIONS "DeleteOptions" {
        1 "gracePeriodSeconds" Number, 2 "preconditions" One(&PRECONDITIONS), 3 "orphanDependents" Choice, 4 "propagationPolicy" Text,
        5 "dryRun" Texts,
    }
}
