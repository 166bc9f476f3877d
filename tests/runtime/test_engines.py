"""Engines: what they print."""

import os

import pytest

from tfderain.runtime import engines


def test_only_the_greeting_is_kept_from_standard_error(capfd):
    with pytest.raises(KeyError), engines._without_greeting():
        os.write(2, b"INFO: Created a delegate.\nERROR: something is wrong\n")
        raise KeyError
    assert capfd.readouterr().err == "ERROR: something is wrong\n"
