"""Real components for the tests: found, started, reported and ended here.

Tests ask for the fixtures of tests/conftest.py (`apache_kafka`, `embedded_broker`, `broker`, `redis_server`);
only tests that need a component of their own, say to leave it dead, make one from these classes.
"""
