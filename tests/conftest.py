"""Shared by all tests: helper modules beside this file can be imported by name."""

import pytest


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests of pages."""
    from browser import Browser, executable

    program = executable()
    if program is None:
        pytest.skip("no Chromium on PATH: install it to test pages in a real browser")
    running = Browser(program)
    yield running
    running.close()
