"""The stack of docker-compose.yml, really run: see docs/compose.md."""
