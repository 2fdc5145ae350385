"""What our worker is compared with, a process each: `python -m benchmarks.speed.rivals.NAME`.

Their arguments are told in benchmarks.speed.rivals.job. All that read Kafka deliver at least once: they
publish, wait until the broker has confirmed, and commit. They keep key, headers and partition number, and
give each label event the id of its input.
"""
