"""A traceback in the log shows code, never the values of local variables: they may be tokens."""

import io
import logging.config

import pytest

from copyportal import settings


@pytest.mark.parametrize("chosen", ["plain", "json"])
def test_a_traceback_does_not_print_local_variables(chosen):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = settings.LOGGING["formatters"][chosen]
    handler.setFormatter(logging.config.DictConfigurator({}).configure_formatter(dict(formatter)))
    logger = logging.Logger("portal")
    logger.addHandler(handler)
    try:
        token = "abc." + "secret-part" + ".xyz"
        raise ValueError(f"something of {len(token)} letters failed")
    except ValueError:
        logger.exception("it failed")
    written = stream.getvalue()
    assert "something of" in written
    assert "it failed" in written
    assert "abc.secret-part.xyz" not in written
