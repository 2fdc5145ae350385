"""The worker process: models, Faust app, watchdog and HTTP endpoints wired together."""
