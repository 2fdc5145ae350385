"""Observability of the worker: metrics, logs, and the interval summary."""
