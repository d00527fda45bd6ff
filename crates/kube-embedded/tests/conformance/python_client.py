"""Sends calls with the official Python client. Reads a line of JSON per call and writes a line of JSON per response.

Built-in kinds use the typed API, so that the models of the client parse the responses; custom kinds use CustomObjectsApi; raw
calls use the ApiClient. Calls run in parallel.
"""

import concurrent.futures
import json
import re
import sys
import threading
import traceback

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

# (group, plural): (API class, name in its functions, whether it is namespaced)
TYPED = {
    ("", "configmaps"): (client.CoreV1Api, "config_map", True),
    ("", "secrets"): (client.CoreV1Api, "secret", True),
    ("", "namespaces"): (client.CoreV1Api, "namespace", False),
    ("", "pods"): (client.CoreV1Api, "pod", True),
    ("", "events"): (client.CoreV1Api, "event", True),
    ("", "persistentvolumeclaims"): (client.CoreV1Api, "persistent_volume_claim", True),
    ("events.k8s.io", "events"): (client.EventsV1Api, "event", True),
    ("batch", "jobs"): (client.BatchV1Api, "job", True),
    ("coordination.k8s.io", "leases"): (client.CoordinationV1Api, "lease", True),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (client.ApiextensionsV1Api, "custom_resource_definition", False),
    ("authorization.k8s.io", "selfsubjectaccessreviews"): (client.AuthorizationV1Api, "self_subject_access_review", False),
    ("authorization.k8s.io", "selfsubjectrulesreviews"): (client.AuthorizationV1Api, "self_subject_rules_review", False),
    ("authentication.k8s.io", "selfsubjectreviews"): (client.AuthenticationV1Api, "self_subject_review", False),
}
NUMBERS = {"limit", "timeoutSeconds", "tailLines", "limitBytes", "sinceSeconds", "gracePeriodSeconds"}
SWITCHES = {"follow", "previous", "timestamps", "force", "allowWatchBookmarks", "sendInitialEvents"}

output = threading.Lock()


def argument_name(name):
    """Returns the argument for a query parameter."""
    return "_continue" if name == "continue" else re.sub("([A-Z])", r"_\1", name).lower()


def argument_value(name, value):
    if name in NUMBERS:
        return int(value)
    return value == "true" if name in SWITCHES else value


def function(call, verb):
    """Returns the function of the client for a call, and the arguments that identify the object."""
    found = TYPED.get((call["group"], call["plural"]))
    arguments = {}
    if call["namespace"]:
        arguments["namespace"] = call["namespace"]
    if call["name"] and verb not in ("create", "list", "delete_collection"):
        arguments["name"] = call["name"]
    subresource = "_" + call["subresource"] if call["subresource"] else ""
    if found:
        api, kind, namespaced = found
        if verb == "log":
            return api().read_namespaced_pod_log, arguments
        if namespaced and not call["namespace"]:
            return getattr(api(), f"{verb}_{kind}_for_all_namespaces"), arguments
        scope = "namespaced_" if namespaced else ""
        return getattr(api(), f"{verb}_{scope}{kind}{subresource}"), arguments
    arguments.update(group=call["group"], version=call["version"], plural=call["plural"])
    scope = "namespaced" if call["namespace"] else "cluster"
    verb = {"read": "get"}.get(verb, verb)
    return getattr(client.CustomObjectsApi(), f"{verb}_{scope}_custom_object{subresource}"), arguments


def raw(api, call):
    method, url, headers, body, _ = api.param_serialize(
        call["method"], call["path"], {}, list(call["params"].items()), dict(call["headers"]), call["body"], auth_settings=["BearerToken"]
    )
    headers.setdefault("Accept", "application/json")
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    response = api.call_api(method, url, headers, body)
    text = response.read().decode("utf-8", "replace")
    if response.status >= 400:
        return {"code": response.status, "body": text}
    is_json = (response.getheader("content-type") or "").startswith("application/json")
    return {"result": json.loads(text) if is_json else text}


def send(api, call):
    verb = call["verb"]
    if verb == "raw":
        return raw(api, call)
    function_of_call, arguments = function(call, "list" if verb == "watch" else verb)
    arguments.update({argument_name(name): argument_value(name, value) for name, value in call["params"].items()})
    if verb == "watch":
        watcher, events = watch.Watch(), []
        for event in watcher.stream(function_of_call, **arguments):
            events.append({"type": event["type"], "object": event["raw_object"]})
            if len(events) == call["count"]:
                break
        return {"result": events}
    if call["body"] is not None:
        arguments["body"] = call["body"]
    if call["patch"]:
        arguments["_content_type"] = call["patch"]
    return {"result": api.sanitize_for_serialization(function_of_call(**arguments))}


def respond(api, line):
    call = json.loads(line)
    try:
        result = send(api, call)
    except ApiException as error:
        result = {"code": error.status, "body": error.body}
    except Exception:
        result = {"error": traceback.format_exc()}
    body = result.get("body")
    if isinstance(body, bytes):
        result["body"] = body.decode("utf-8", "replace")
    with output:
        print(json.dumps({"id": call["id"], **result}), flush=True)


def main():
    config.load_kube_config(sys.argv[1])
    api = client.ApiClient()
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        for line in sys.stdin:
            threads.submit(respond, api, line)


main()
