"""The worker's page: what it does right now, for people."""

from stream.observe.page.recent import Recent
from stream.observe.page.site import Page

__all__ = ["Page", "Recent"]
