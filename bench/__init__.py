"""Measurements: `python bench/linear.py`, `python -m bench.compare`."""
