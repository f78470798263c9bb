"""Keeps the memory of hundreds of compiled networks in bounds."""

import itertools

import jax
import pytest

_TESTS = itertools.count(1)


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    yield
    if next(_TESTS) % 10 == 0:
        jax.clear_caches()
