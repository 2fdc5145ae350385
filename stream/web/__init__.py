"""The worker's HTTP endpoints: health, metrics, info and the status page."""
