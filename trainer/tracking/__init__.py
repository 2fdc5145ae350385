"""Experiment tracking: one run in each chosen tracker, which never ends or delays the training.

These names are the public interface of the package.
"""

from trainer.tracking.tracking import Tracking, check_trackers

__all__ = ["Tracking", "check_trackers"]
