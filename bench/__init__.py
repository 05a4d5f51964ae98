"""Benches: each prints JSON and asserts nothing about time."""
