"""Renders kustomizations, as far as those of examples/deploy/kubernetes go, and holds each document against the schemas of
Kubernetes' API. Prints the documents as JSON, one a line; what is wrong goes to standard error."""

import json
import os
import sys

import kubernetes_validate
import yaml

# What the elements of lists are merged by, where they have it.
KEYS = ("name", "containerPort", "mountPath")
# Resources of others, which the API's schemas do not have: the tests hold them against what they point at.
FOREIGN = ("monitoring.coreos.com/",)
KNOWN = {
    "apiVersion", "kind", "labels", "resources", "configMapGenerator", "namespace", "images", "patches",
}


def load(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def merged(base, patch):
    """A strategic merge."""
    if isinstance(base, dict) and isinstance(patch, dict):
        both = {name: merged(base[name], patch[name]) for name in base.keys() & patch.keys()}
        return {**base, **patch, **both}
    if isinstance(base, list) and isinstance(patch, list):
        key = next((key for key in KEYS if all(isinstance(one, dict) and key in one for one in base + patch)), None)
        if key is None:
            return patch
        news = {one[key]: one for one in patch}
        olds = [merged(one, news.pop(one[key])) if one[key] in news else one for one in base]
        return olds + list(news.values())
    return patch


def identity(document):
    return document["kind"], document["metadata"]["name"]


def label(document, pairs):
    """Puts labels where kustomize does with includeSelectors."""
    document["metadata"].setdefault("labels", {}).update(pairs)
    spec = document.get("spec", {})
    if document["kind"] == "Service":
        spec.setdefault("selector", {}).update(pairs)
    for name in ("selector", "podSelector"):
        if "matchLabels" in spec.get(name, {}):
            spec[name]["matchLabels"].update(pairs)
    if "template" in spec:
        spec["template"]["metadata"].setdefault("labels", {}).update(pairs)
        for spread in spec["template"]["spec"].get("topologySpreadConstraints", []):
            spread["labelSelector"]["matchLabels"].update(pairs)


def render(folder):
    (kustomization,) = load(os.path.join(folder, "kustomization.yaml"))
    if unknown := kustomization.keys() - KNOWN:
        sys.exit(f"{folder}: this does not know what {sorted(unknown)} does")
    documents = []
    for resource in kustomization.get("resources", []):
        path = os.path.join(folder, resource)
        documents += render(path) if os.path.isdir(path) else load(path)
    for generated in kustomization.get("configMapGenerator", []):
        data = {name: open(os.path.join(folder, name), encoding="utf-8").read() for name in generated["files"]}
        metadata = {"name": generated["name"]}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for patch in kustomization.get("patches", []):
        for change in load(os.path.join(folder, patch["path"])):
            fits = [identity(document) == identity(change) for document in documents]
            if not any(fits):
                sys.exit(f"{folder}: the patch of {identity(change)} fits nothing")
            documents = [merged(one, change) if fit else one for one, fit in zip(documents, fits)]
    for labels in kustomization.get("labels", []):
        for document in documents:
            label(document, labels["pairs"])
    for document in documents:
        if "namespace" in kustomization and document["kind"] != "Namespace":
            document["metadata"]["namespace"] = kustomization["namespace"]
        for container in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            for image in kustomization.get("images", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return documents


def main():
    version, folder = sys.argv[1:]
    is_wrong = False
    for document in render(folder):
        if document["apiVersion"].startswith(FOREIGN):
            print(json.dumps(document))
            continue
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            is_wrong = True
            print(f"{identity(document)}: {'.'.join(map(str, error.path))}: {error.message}", file=sys.stderr)
        print(json.dumps(document))
    sys.exit(is_wrong)


main()
