"""Compiled loops of the surface metrics."""
