"""Shared by all tests: helper modules beside this file can be imported by name."""

import pytest


def pytest_collection_modifyitems(items):
    """What takes longest comes first, so that no core waits for another at the end."""
    items.sort(key=lambda item: item.path.name not in ("test_notebooks.py", "test_benchmarks.py"))


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


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    """A machine without Graphviz: neither inside a wheel nor on PATH."""
    from autograd_core.render import engine

    def missing():
        raise ImportError("libsomething.so.0: no such file")

    monkeypatch.setattr(engine, "_embedded", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine._layout.cache_clear()
    yield
    engine._layout.cache_clear()
