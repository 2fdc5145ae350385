"""The worker's page: what it does right now, for people."""

from stream.web.page.recent import Recent
from stream.web.page.site import Page

__all__ = ["Page", "Recent"]
