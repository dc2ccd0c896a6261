"""The units, the compose file and the Kubernetes manifests start the same processes in the same way."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROLES = ("web", "worker", "beat", "backend")
# where each of them listens is a matter of the place
PLACES = re.compile(r"--(host|port) \S+ ?")


def plain(words: list[str]) -> str:
    """A command without its folder, addresses and the stand-by, which compose has no second process for."""
    command = " ".join([words[0].rpartition("/")[2], *words[1:]])
    return PLACES.sub("", command.replace(" --stand-by", "") + " ").strip()


def of_unit(role: str) -> str:
    text = (DEPLOY / f"copyportal-{role}.service").read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    return plain(shlex.split(command))


def of_compose(role: str) -> str:
    return plain(shlex.split(yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"][role]["command"]))


def manifests() -> list[dict]:
    return yaml.safe_load((DEPLOY / "kubernetes" / "copyportal.yaml").read_text())["items"]


def of_kubernetes(role: str) -> str:
    (container,) = [
        item["spec"]["template"]["spec"]["containers"][0]
        for item in manifests()
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", role)
    ]
    return plain(container["command"])


@pytest.mark.parametrize("role", ROLES)
def test_a_process_is_started_the_same_way_everywhere(role):
    assert of_compose(role) == of_unit(role) == of_kubernetes(role)


def test_the_stand_by_is_the_same_backend():
    assert of_unit("backend-standby") == of_unit("backend")
    texts = [(DEPLOY / f"copyportal-{name}.service").read_text() for name in ("backend", "backend-standby")]
    assert all(" --stand-by " in text for text in texts)


def test_containers_have_no_rights_and_their_services_and_ports_exist():
    pods = [item["spec"]["template"]["spec"] for item in manifests() if item["kind"] in ("Deployment", "Job")]
    assert len(pods) == 5
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["envFrom"] == [{"secretRef": {"name": "copyportal"}}]
    apps = {item["metadata"]["name"] for item in manifests() if item["kind"] == "Deployment"}
    services = [item["spec"]["selector"]["app"] for item in manifests() if item["kind"] == "Service"]
    assert set(services) <= apps
