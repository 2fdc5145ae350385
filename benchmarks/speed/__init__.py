"""Benchmarks: programs, not tests. `python -m benchmarks.speed --help`, or `make bench`.

Each group of rows runs ways to do the same work side by side, in one run, several times, in alternating
order, and tells medians, least and most. Read ratios before rates: machines are noisy.
"""
