"""Baselines that the worker is compared with: `python -m benchmarks.speed.baselines.NAME`.

benchmarks.speed.baselines.job describes the arguments. All baselines deliver at least once: they publish,
wait for the broker's confirmation, and commit. They keep key, headers and partition number, and each label
event has the id of its input.
"""
