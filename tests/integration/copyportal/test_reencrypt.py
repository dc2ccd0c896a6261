"""After `reencrypt` the old key is no longer needed."""

import io

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from tests import builders
from users.models import Connection


def test_the_old_key_can_go(workspace, settings):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.FIELD_KEYS = [old]
    connection = builders.connection(workspace, token="one.two.three")
    settings.FIELD_KEYS = [new]
    with pytest.raises(ImproperlyConfigured, match="fits none of FIELD_KEYS"):
        Connection.objects.get(pk=connection.pk)
    settings.FIELD_KEYS = [new, old]
    call_command("reencrypt", stdout=io.StringIO())
    settings.FIELD_KEYS = [new]
    assert Connection.objects.get(pk=connection.pk).token == "one.two.three"
