"""Changes of settings: what was saved, what became of it, and putting it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import ApiView, Guard
from api.edits import answer_dry_run, at_backend, recover, save
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.resources.settings import ConfirmField
from api.reviews import ChangeRow, WriteAnswer, change_row
from api.writes import DRY_RUN, WriteView, write
from editing.models import Action, Change
from editing.proposals import propose_undo
from users.permissions import may_manage, staff_only

NOTHING = "There is nothing to put back: it already is as it was, or it is being wound down."


class ChangeDetail(ApiView):
    """One change of settings: what it did and whether it was carried out."""

    tag, noun = "Changes", "settings_change"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    answers: ClassVar = {"GET": ChangeRow}

    def get(self, request: Request, pk: int) -> Response:
        """One change of settings that was sent."""
        own = Change.objects.visible_to(self.membership).exclude(saved_at=None, outcome="")
        return Response(change_row(get_object_or_404(own, pk=pk)))


class UndoBody(serializers.Serializer):
    """Putting a change back."""

    confirm = ConfirmField()


class ChangeUndo(WriteView):
    """Put a change back: what it changed, and nothing that was changed since."""

    tag, noun = "Changes", "settings_undo"
    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": WriteAnswer}
    bodies: ClassVar = {"POST": UndoBody}
    options: ClassVar = {"POST": (DRY_RUN,)}
    statuses: ClassVar = {"POST": (200, 202)}
    names: ClassVar = {"POST": "undo_settings_change"}

    @write(Sort.EDIT, recover=recover)
    def post(self, request: Request, pk: int) -> Reply:
        """Put a change back: what it changed, and nothing that was changed since."""
        own = Change.objects.visible_to(self.membership).saved().select_related("connection", "workspace")
        change = get_object_or_404(own, pk=pk)
        if change.action == Action.CREATE:
            raise ApiProblem(
                "refused", "What was created is not put back: remove it, and say what becomes of positions."
            )
        with at_backend(change.connection, pointer="") as client:
            reversal = propose_undo(change, client=client, by=self.actor, now=timezone.now(), is_kept=False)
            if reversal is None:
                raise ApiProblem("refused", NOTHING)
            if self.is_dry_run:
                return answer_dry_run(reversal, client=client)
            return save(reversal, self.claim, client=client, confirm=self.body.get("confirm", ""), by=self.actor)
