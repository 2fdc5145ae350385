"""The status page: a live view of one worker for people."""

from stream.web.page.recent import RecentOutcomes
from stream.web.page.sampler import Sampler
from stream.web.page.status_page import StatusPage

__all__ = ["RecentOutcomes", "Sampler", "StatusPage"]
