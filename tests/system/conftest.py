"""With which broker a test is run."""

from __future__ import annotations

import pytest

from tests.system.brokers import MOSQUITTO, NATS


@pytest.fixture(scope="module", params=[NATS, MOSQUITTO])
def which(request: pytest.FixtureRequest) -> str:
    """The broker's name: a test that asks for it is run with both."""
    return str(request.param)


@pytest.fixture(scope="module", params=[NATS, pytest.param(MOSQUITTO, marks=pytest.mark.long)])
def which_at_length(request: pytest.FixtureRequest) -> str:
    """The broker's name: with Mosquitto in the long form only."""
    return str(request.param)
