"""Migrations make what the models say, and each app has one newest."""

from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState


def test_no_change_of_a_model_is_without_its_migration():
    loader = MigrationLoader(None)
    assert loader.detect_conflicts() == {}
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    missing = detector.changes(graph=loader.graph)
    assert {app: [str(each.operations) for each in migrations] for app, migrations in missing.items()} == {}
