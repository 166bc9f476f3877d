"""Engines: what they print."""

import os

import pytest

from tfderain.runtime import engines


def test_only_the_greeting_is_kept_from_standard_error(capfd):
    with pytest.raises(KeyError), engines._without_greeting():
        os.write(2, b"INFO: Created a delegate.\nERROR: something is wrong\n")
        raise KeyError
    assert capfd.readouterr().err == "ERROR: something is wrong\n"


def test_without_a_place_for_temporary_files_the_greeting_passes(capfd, monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(engines.tempfile, "TemporaryFile", refuse)
    with engines._without_greeting():
        os.write(2, b"INFO: Created a delegate.\n")
    assert capfd.readouterr().err == "INFO: Created a delegate.\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_a_full_disk_behind_standard_error_stops_nothing():
    kept, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 2)
        with engines._without_greeting():
            os.write(2, b"ERROR: something is wrong\n")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(full)
