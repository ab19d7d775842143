"""Shared by all tests: helper modules beside this file can be imported by name."""
