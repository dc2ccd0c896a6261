"""What is served from static/vendor is exactly what vendor.json says, with a licence that may be passed on."""

import gzip
import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"
VENDOR = STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "vendor.json").read_text())
PERMISSIVE = {"MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0"}


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: entry["path"])
def test_every_vendored_file_has_its_recorded_digest(entry):
    digest = hashlib.sha256((VENDOR / entry["path"]).read_bytes()).hexdigest()
    assert digest == entry["sha256"]
    assert entry["licence"] in PERMISSIVE


def test_nothing_is_vendored_that_the_manifest_does_not_name():
    present = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert present == {entry["path"] for entry in MANIFEST} | {"vendor.json"}


def test_versions_agree_with_package_json():
    wanted = json.loads((VENDOR.parents[1] / "package.json").read_text())["devDependencies"]
    assert {entry["package"]: entry["version"] for entry in MANIFEST} == wanted


def test_all_styles_and_scripts_of_a_page_stay_under_150_kb_compressed():
    paths = [path for path in STATIC.rglob("*") if path.suffix in {".css", ".js", ".svg"}]
    packed = sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)
    htmx = files("django_htmx").joinpath("static/django_htmx/htmx-2.min.js").read_bytes()
    assert packed + len(gzip.compress(htmx, 9)) < 150_000
