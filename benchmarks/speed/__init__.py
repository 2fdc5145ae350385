"""Benchmarks: programs, not tests. `python -m benchmarks.speed --help`, or `make bench`.

A group runs several systems on the same work, several times in alternating order, and reports the median,
minimum and maximum of the repeats. Compare ratios before rates, because machines are noisy.
"""
