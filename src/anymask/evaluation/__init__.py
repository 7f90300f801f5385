"""Measuring a model: one protocol, one file."""
