"""Measured figures; `python -m bench` prints them as the tables of docs/benchmarks.md."""
