"""Tests for a team that consumes the labels: they need only the addresses of a running stack.

In the stack: `docker-compose run --rm tests`. From elsewhere: pytest tests/compose/inside with the variables
LABELSTREAM_TEST_BROKER, LABELSTREAM_TEST_REDIS and LABELSTREAM_TEST_WEB.
"""
