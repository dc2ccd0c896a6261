"""Alert rules and dashboard of deploy/ ask only for what the processes export, under its labels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from copying.backend.http.measuring import Measured
from copyportal import metrics
from copyportal.hosts import show
from reporting.models import SyncKind, SyncState
from tests import builders

pytestmark = pytest.mark.django_db
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES, DASHBOARD = DEPLOY / "prometheus-rules.yml", DEPLOY / "grafana-dashboard.json"
NAME = re.compile(r"copyportal_[a-z_]+")
LABELS = re.compile(r"(?:by|without) \(([a-z_, ]+)\)|([a-z_]+)\s*(?:=~|!=|=)\s*\"")
OF_PROMETHEUS = {"job", "le", "instance"}


class IdleCore:
    """A core of which only the names of its figures are asked."""

    listeners: list = []


def expressions() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    return rules + [target["expr"] for panel in panels for target in panel["targets"]]


def exported(workspace) -> set[str]:
    """Names of all samples there are, with the suffixes of counters and histograms."""
    state = SyncState.objects.create(
        connection=builders.connection(workspace), kind=SyncKind.LOGS, due_at="2026-01-01T00:00:00Z"
    )
    assert state.pk
    show("worker")
    measured = Measured(IdleCore())
    own = {
        f"{family.name}{suffix}"
        for family in (
            metric
            for collector in (measured.decisions, measured.signals, measured.deals, measured.refused, measured.seconds)
            for metric in collector.describe()
        )
        for suffix in ("", "_total", "_bucket", "_sum", "_count")
    }
    state_names = {"journal_entry", "projected_entry", "positions", "accounts", "trouble"}
    text = "".join(metrics.lines())
    return own | {f"copyportal_backend_{name}" for name in state_names} | set(re.findall(r"# TYPE (\S+)", text))


def test_every_expression_asks_for_what_is_exported(workspace, monkeypatch):
    monkeypatch.setattr(metrics.watch, "number_unwell", lambda server: 0)
    names = exported(workspace)
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 15
    assert asked - names == set()


def test_rules_say_what_is_wrong_and_how_bad_it_is():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["alert"].startswith("Copyportal")
            assert rule["labels"]["severity"] in ("page", "warning")
            assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not installed")
def test_prometheus_reads_the_rules():
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
