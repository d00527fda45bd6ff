"""Plays calls with the official Python client: a line of JSON in for each call, a line of JSON out for its answer.

Built-in kinds go through the typed API, so that the client's own models read what the server says; custom kinds through
CustomObjectsApi; raw calls through the ApiClient beneath. Calls run side by side.
"""

import concurrent.futures
import json
import re
import sys
import threading
import traceback

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

# plural: (API class, name within its functions, whether it lives in namespaces)
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


def named(name):
    """A query parameter as the client's functions name it."""
    return "_continue" if name == "continue" else re.sub("([A-Z])", r"_\1", name).lower()


def worth(name, value):
    if name in NUMBERS:
        return int(value)
    return value == "true" if name in SWITCHES else value


def function(call, verb):
    """The client's function for a call, and the arguments that say which object is meant."""
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
    return {"answer": json.loads(text) if is_json else text}


def play(api, call):
    verb = call["verb"]
    if verb == "raw":
        return raw(api, call)
    play_function, arguments = function(call, "list" if verb == "watch" else verb)
    arguments.update({named(name): worth(name, value) for name, value in call["params"].items()})
    if verb == "watch":
        watching, events = watch.Watch(), []
        for event in watching.stream(play_function, **arguments):
            events.append({"type": event["type"], "object": event["raw_object"]})
            if len(events) == call["count"]:
                break
        return {"answer": events}
    if call["body"] is not None:
        arguments["body"] = call["body"]
    if call["patch"]:
        arguments["_content_type"] = call["patch"]
    return {"answer": api.sanitize_for_serialization(play_function(**arguments))}


def answer(api, line):
    call = json.loads(line)
    try:
        result = play(api, call)
    except ApiException as refused:
        result = {"code": refused.status, "body": refused.body}
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
            threads.submit(answer, api, line)


main()
