"""One act of a person at a backend: the client for it, and what can be said when it does not do what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from copying.client import Client, ClientError, Forbidden, NotFound, Rejected
from users.models import Connection

# a person waits for it: no long holding back
PATIENCE = {"timeout_s": 8, "extended_timeout_s": 30, "retries": 1, "wait_budget_s": 3}


class NotDone(Exception):
    """The backend did not do it. text: a sentence; details: [{parameter, message}] where it says what is wrong.

    is_refusal: it answered that it will not do this, so that trying again does not help.
    """

    def __init__(self, text: str, details: list[dict[str, Any]] | None = None, *, is_refusal: bool = False):
        super().__init__(text)
        self.text = text
        self.details = details or []
        self.is_refusal = is_refusal


class Unconfirmed(NotDone):
    """It was sent, and whether the backend carried it out is not known."""

    def __init__(self, reason: str):
        super().__init__(
            f"It was sent, but whether it was carried out is not known. {reason}"
            " Look at what there is now before you send it again."
        )


@contextmanager
def backend_of(connection: Connection, **patience: Any) -> Iterator[Client]:
    """A client for one act of a person. Raises NotDone with a sentence for whatever goes wrong.

    patience: other than PATIENCE. Unconfirmed where any call of the act wrote, or may have: the failed one may be a
    read after it.
    """
    try:
        with connection.client(**{**PATIENCE, **patience}) as client:
            try:
                yield client
            except ClientError as error:
                if client.may_have_written:
                    raise Unconfirmed(error.text) from error
                raise
    except Rejected as error:
        cause = error.text.removeprefix("The backend refused the request: ").removeprefix("Validation failed. ")
        raise NotDone(f"The backend refuses it: {cause}", error.details, is_refusal=True) from error
    except NotFound as error:
        gone = "The backend does not have this any more. The page is brought up to date within a minute."
        raise NotDone(gone, is_refusal=True) from error
    except Forbidden as error:
        theirs = "The backend does not allow it: the account or strategy belongs to somebody else."
        raise NotDone(theirs, is_refusal=True) from error
    except ClientError as error:
        raise NotDone(f"Nothing was changed. {error.text}") from error
    except ImproperlyConfigured as error:
        raise NotDone(f"Nothing was changed. {error}") from error
