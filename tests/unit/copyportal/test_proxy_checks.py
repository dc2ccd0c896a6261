"""A proxy that is not counted is warned of."""

import pytest

from copyportal.checks import proxies_are_counted


@pytest.mark.parametrize(
    ("header", "proxies", "numbers"),
    [
        (None, 0, []),
        (None, 1, []),
        (("HTTP_X_FORWARDED_PROTO", "https"), 1, []),
        (("HTTP_X_FORWARDED_PROTO", "https"), 0, ["copyportal.W002"]),
    ],
)
def test_a_proxy_that_is_not_counted_is_warned_of(settings, header, proxies, numbers):
    settings.SECURE_PROXY_SSL_HEADER, settings.TRUSTED_PROXIES = header, proxies
    assert [warning.id for warning in proxies_are_counted(None)] == numbers
