"""A firm's logo: what may be one, made small and anew, so that nothing of the file but its picture stays."""

from __future__ import annotations

import hashlib
from datetime import datetime
from io import BytesIO
from typing import IO

from django.db import transaction
from PIL import Image

from users.audit import record_audit
from users.models import Logo, User, Workspace

MOST_LOGOS = 50  # of one firm, ever: documents keep theirs
MOST_BYTES = 1_000_000
MOST_PIXELS = 4_000  # each way, of the file
LARGEST = (600, 200)  # as it is stored
SMALLEST = 16
FORMATS = ("PNG", "JPEG", "WEBP")


class NoLogo(Exception):
    """A file that cannot be one. `str()` says why and what to do."""


def read(file: IO[bytes]) -> tuple[bytes, tuple[int, int]]:
    """The picture of a file as PNG, no larger than LARGEST, and its size. Raises NoLogo."""
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NoLogo("The file is larger than one megabyte: choose a smaller one.")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if max(image.size) > MOST_PIXELS or min(image.size) < SMALLEST:
                across = f"{image.width} × {image.height}"
                raise NoLogo(f"The picture has {across} pixels: choose one of {SMALLEST} to {MOST_PIXELS:,} each way.")
            picture = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NoLogo("The file is no picture that can be read: choose a PNG, JPEG or WebP file.") from error
    picture.thumbnail(LARGEST)
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue(), picture.size


@transaction.atomic
def choose(workspace: Workspace, file: IO[bytes], *, by: User, now: datetime) -> Logo:
    """Make the picture of a file the firm's. Raises NoLogo."""
    png, (width, height) = read(file)
    digest = hashlib.sha256(png).hexdigest()
    if Logo.objects.filter(workspace=workspace).exclude(digest=digest).count() >= MOST_LOGOS:
        raise NoLogo(f"A firm has at most {MOST_LOGOS} logos in all its time: choose one that it had before.")
    values = {"png": png, "width": width, "height": height, "added_at": now}
    logo, _ = Logo.objects.get_or_create(workspace=workspace, digest=digest, defaults=values)
    _set(workspace, digest, by=by, now=now)
    return logo


def remove(workspace: Workspace, *, by: User, now: datetime) -> None:
    """Show none any more; documents that were issued with it keep it."""
    _set(workspace, "", by=by, now=now)


@transaction.atomic
def _set(workspace: Workspace, digest: str, *, by: User, now: datetime) -> None:
    locked = Workspace.objects.select_for_update(of=("self",), no_key=True).get(pk=workspace.pk)
    details = {"before": {"logo_digest": locked.logo_digest}, "after": {"logo_digest": digest}}
    workspace.logo_digest = locked.logo_digest = digest
    locked.save(update_fields=["logo_digest"])
    record_audit(workspace, user=by, action="logo changed", subject=workspace.name, details=details, now=now)
