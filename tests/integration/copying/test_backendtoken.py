"""The command that prints a token for the embedded backend."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from copying.backend import tokens
from copying.models import Tenant

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("arguments", "tenant"), [([], "local"), (["--tenant", "firm-2"], "firm-2")])
def test_a_token_is_printed_and_its_tenant_known(arguments, tenant):
    for _ in range(2):
        printed = StringIO()
        call_command("backendtoken", *arguments, stdout=printed)
        assert tokens.tenant_of(printed.getvalue().strip()) == tenant
    assert Tenant.objects.filter(pk=tenant).count() == 1


def test_an_impossible_tenant_is_told_in_a_sentence():
    with pytest.raises(CommandError, match="letters"):
        call_command("backendtoken", "--tenant", "a.b")
    assert not Tenant.objects.exists()
