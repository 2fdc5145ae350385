"""Tests that run the stack of docker-compose.yml: see docs/compose.md."""
