"""Real components for the tests: their discovery, start, report and end.

Tests use the fixtures of tests/conftest.py (`apache_kafka`, `embedded_broker`, `broker`, `redis_server`).
Only tests that need their own component, for example to leave it stopped, create one from these classes.
"""
