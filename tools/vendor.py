"""Copies the few front-end files the pages need out of npm packages into static/vendor/.

Run it after changing package.json: `npm install --package-lock-only && python tools/vendor.py`. Neither running the
portal nor its tests need npm; tests/rules/test_vendored_files.py compares what is committed with vendor.json.
htmx is not here: the django-htmx package brings it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
FILES = {
    "@tabler/core": ["dist/css/tabler.min.css"],
    "uplot": ["dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"],
}
ICONS = [
    "activity",
    "alert-circle",
    "alert-triangle",
    "arrow-down",
    "arrow-up",
    "arrows-exchange",
    "ban",
    "bell",
    "bolt",
    "building-bank",
    "chart-line",
    "check",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "chevron-up",
    "circle-check",
    "clock",
    "cloud-off",
    "coin",
    "copy",
    "database-off",
    "device-desktop",
    "dots",
    "dots-vertical",
    "download",
    "edit",
    "external-link",
    "eye",
    "filter",
    "help-circle",
    "history",
    "home",
    "info-circle",
    "key",
    "layout-dashboard",
    "list-details",
    "login",
    "logout",
    "menu-2",
    "moon",
    "player-pause",
    "plug-connected",
    "plus",
    "receipt-2",
    "refresh",
    "route",
    "search",
    "settings",
    "shield-check",
    "shield-x",
    "sun",
    "table",
    "trash",
    "user",
    "users",
    "wallet",
    "x",
]


def package(name: str) -> dict:
    """The package.json of an installed package."""
    return json.loads((MODULES / name / "package.json").read_text())


def copy_file(name: str, version: str, source: str) -> Path:
    """Copy one file without its source map reference, which would point at a file that is not served."""
    target = VENDOR / name.removeprefix("@").replace("/", "-") / version / Path(source).name
    target.parent.mkdir(parents=True, exist_ok=True)
    text = (MODULES / name / source).read_text()
    text = re.sub(r"\n?(/\*|//)# sourceMappingURL=[^\s*]+( \*/)?\s*$", "\n", text)
    target.write_text(text)
    return target


def write_sprite(version: str) -> Path:
    """One SVG file with a symbol for each icon in use."""
    symbols = []
    for name in sorted(ICONS):
        body = (MODULES / "@tabler/icons/icons/outline" / f"{name}.svg").read_text()
        paths = re.findall(r"<path d=[^>]+/>", body)
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(paths)}</symbol>')
    target = VENDOR / "tabler-icons" / version / "sprite.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n")
    return target


def main() -> None:
    """Install the locked packages without running their scripts, copy, and write vendor.json."""
    subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=ROOT, check=True)
    shutil.rmtree(VENDOR, ignore_errors=True)
    manifest = []
    for name in (*FILES, "@tabler/icons"):
        facts = package(name)
        if name == "@tabler/icons":
            targets = [write_sprite(facts["version"])]
        else:
            targets = [copy_file(name, facts["version"], source) for source in FILES[name]]
        manifest += [
            {
                "package": name,
                "version": facts["version"],
                "licence": facts["license"],
                "homepage": facts.get("homepage", ""),
                "path": str(target.relative_to(VENDOR)),
                "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
            }
            for target in targets
        ]
    (VENDOR / "vendor.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
