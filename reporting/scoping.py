"""Who sees what belongs to a subscriber by the backend's ids: staff all of the workspace, others their own accounts."""

from __future__ import annotations

from typing import Self, TypeVar

from django.db import models

from subscribers.models import Subscriber
from users.models import Membership

Row = TypeVar("Row", bound=models.Model)


class PerSubscriberQuerySet(models.QuerySet[Row]):
    """Every read of what belongs to a subscriber by the backend's ids starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        own = self.filter(workspace_id=membership.workspace_id)
        if membership.is_staff_role:
            return own
        theirs = Subscriber.objects.visible_to(membership)
        exactly = theirs.filter(
            connection_id=models.OuterRef("connection_id"), backend_id=models.OuterRef("subscriber_id")
        )
        # the list of ids is for the index; the pair with the connection is what counts
        return own.filter(models.Exists(exactly), subscriber_id__in=theirs.values("backend_id"))
