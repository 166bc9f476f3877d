"""Calls in a fresh process."""

import os

from tfderain.benchmarks import fresh_process


def test_the_other_process_is_another():
    assert fresh_process.call(os.getpid) != os.getpid()
