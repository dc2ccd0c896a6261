"""Backups: whole or not at all, equal row by row after a restore, refused when they are not what was written."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from copyportal import backups
from tests import builders
from users.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def firm():
    workspace = builders.workspace()
    connection = builders.connection(workspace)
    return builders.subscriber(connection, name='Ünïcode, "quoted" \\ and\ttabs')


def test_a_backup_is_two_files_that_only_their_owner_reads(firm, tmp_path):
    path = backups.back_up(tmp_path / "new", now=NOW)
    assert path.name == "copyportal-20260501T030000Z.dump"
    assert sorted(each.name[-5:] for each in path.parent.iterdir()) == [".dump", ".json"]
    assert {each.stat().st_mode & 0o077 for each in path.parent.iterdir()} == {0}
    manifest = backups.Manifest.read(path)
    assert manifest.tables["public.subscribers_subscriber"][0] == 1
    assert manifest.migrations["users"] >= "0001"


def test_a_rehearsal_finds_every_row_and_leaves_nothing_behind(firm, tmp_path):
    path = backups.back_up(tmp_path, now=NOW)
    before = databases()
    assert backups.rehearse(path) == []
    assert databases() == before
    Workspace.objects.update(name="changed meanwhile")
    assert backups.rehearse(path) == [], "it is compared with the moment of the backup, not with now"


def test_temporary_tables_of_whoever_works_meanwhile_are_no_part_of_it(firm, tmp_path):
    """A sync has one while it stores a page: nobody else may read it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE stage AS SELECT 1 AS a")
        try:
            path = backups.back_up(tmp_path, now=NOW)
        finally:
            cursor.execute("DROP TABLE stage")
    assert {name.partition(".")[0] for name in backups.Manifest.read(path).tables} == {"public"}
    assert backups.rehearse(path) == []


def test_a_row_that_is_not_as_it_was_is_named(firm, tmp_path):
    path = backups.back_up(tmp_path, now=NOW)
    manifest = path.with_suffix(".json")
    stored = json.loads(manifest.read_text())
    rows, digest = stored["tables"]["public.subscribers_subscriber"]
    stored["tables"]["public.subscribers_subscriber"] = [rows, str(int(digest) + 1)]
    stored["tables"]["public.gone"] = [0, "0"]
    manifest.write_text(json.dumps(stored))
    assert backups.rehearse(path) == ["public.gone", "public.subscribers_subscriber"]
    with pytest.raises(CommandError, match=r"2 of \d+ tables differ"):
        call_command("restore", path, "--rehearse")


def damage_dump(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_dump(path):
    path.write_bytes(path.read_bytes()[:-1])


def lose_manifest(path):
    path.with_suffix(".json").unlink()


def damage_manifest(path):
    path.with_suffix(".json").write_text("{")


def make_newer(path):
    stored = json.loads(path.with_suffix(".json").read_text())
    stored["migrations"]["users"] = "0999_later"
    path.with_suffix(".json").write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_dump, "is damaged"),
        (cut_dump, "is damaged"),
        (lose_manifest, "is missing"),
        (damage_manifest, "is damaged"),
        (make_newer, "of a newer version"),
    ],
)
@pytest.mark.parametrize("words_of_command", [["--rehearse"], ["--replace"]])
def test_what_is_not_whole_is_refused_and_nothing_changes(harm, words, words_of_command, firm, tmp_path):
    path = backups.back_up(tmp_path, now=NOW)
    harm(path)
    before = databases()
    with pytest.raises(CommandError, match=words):
        call_command("restore", path, *words_of_command)
    assert databases() == before
    assert Workspace.objects.exists()


def test_a_restore_replaces_all_of_a_database_or_nothing(firm, tmp_path, monkeypatch, capsys):
    path = backups.back_up(tmp_path, now=NOW)
    with backups.scratch_database() as target:
        monkeypatch.setattr(backups, "configured", lambda: target)
        assert backups.restore(path, replaces=False) == []
        with pytest.raises(backups.BackupFailed, match="is not empty"):
            backups.restore(path, replaces=False)
        with psycopg.connect(**target, autocommit=True) as other:
            other.execute("CREATE TABLE of_a_newer_version (id int)")
            other.execute("UPDATE users_workspace SET name = 'changed'")
            with pytest.raises(backups.BackupFailed, match="1 connections to the database are open"):
                backups.restore(path, replaces=True)
        half = broken_copy(path)
        with pytest.raises(backups.BackupFailed, match="nothing was changed"):
            backups.restore(half, replaces=True)
        assert names_in(target) == ["changed"]
        call_command("restore", path, "--replace")
        assert "are as they were backed up" in capsys.readouterr().out
        assert names_in(target) != ["changed"]
        assert "public.of_a_newer_version" not in tables_in(target)


def broken_copy(path):
    """A dump that ends in the middle, with a manifest that fits it."""
    half = path.with_name("copyportal-20260501T030001Z.dump")
    content = path.read_bytes()
    half.write_bytes(content[: len(content) * 9 // 10])
    stored = json.loads(path.with_suffix(".json").read_text())
    stored |= {"bytes": half.stat().st_size, "sha256": backups.sha256_of(half)}
    half.with_suffix(".json").write_text(json.dumps(stored))
    return half


def test_older_backups_go_only_after_a_newer_one_is_there(firm, tmp_path, monkeypatch):
    other = tmp_path / "copyportal-notes.txt"
    other.write_text("not ours")
    for day in range(4):
        backups.back_up(tmp_path, now=NOW + timedelta(days=day), keep=2)
    assert [path.name[11:19] for path in backups.backups_in(tmp_path)] == ["20260503", "20260504"]
    assert len(list(tmp_path.iterdir())) == 5
    assert other.exists()

    def fail(*args):
        raise backups.BackupFailed("pg_dump failed: no space left")

    monkeypatch.setattr(backups, "_run", fail)
    with pytest.raises(CommandError, match="no space left"):
        call_command("backup", tmp_path, keep=1)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_that_cannot_be_written_is_said(firm, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("backup", tmp_path / "file")
    with pytest.raises(CommandError, match="--keep"):
        call_command("backup", tmp_path, keep=-1)


def databases():
    with psycopg.connect(**backups.configured()) as connection:
        return connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()


def names_in(target):
    with psycopg.connect(**target) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM users_workspace").fetchall()]


def tables_in(target):
    with psycopg.connect(**target) as connection:
        return list(backups.digests(connection.cursor()))
