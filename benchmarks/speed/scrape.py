"""Metrics of a time span, as the difference of two scrapes of a worker's /metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one scrape, or the difference of two scrapes."""

    values: Mapping[Key, float]

    @classmethod
    def read(cls, exposition: str) -> "Scrape":
        """Parse the text of /metrics."""
        return cls(
            {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(exposition)
                for sample in family.samples
            }
        )

    def since(self, earlier: "Scrape") -> "Scrape":
        """Return the difference from an earlier scrape."""
        return Scrape({key: value - earlier.values.get(key, 0) for key, value in self.values.items()})

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels; 0 if there are none."""
        required = set(labels.items())
        return sum(
            value
            for (sample_name, sample_labels), value in self.values.items()
            if sample_name == name and required <= set(sample_labels)
        )

    def median(self, histogram: str, **labels: str) -> float:
        """Return the median of a histogram, interpolated within its bucket; NaN if the histogram is empty."""
        required = set(labels.items())
        below: dict[float, float] = {}
        for (name, sample_labels), value in self.values.items():
            if name == f"{histogram}_bucket" and required <= set(sample_labels):
                limit = float(dict(sample_labels)["le"])
                below[limit] = below.get(limit, 0) + value
        half = max(below.values(), default=0) / 2
        if not half:
            return math.nan
        floor = counted = 0.0
        for limit in sorted(below):
            if below[limit] >= half:
                if math.isinf(limit):
                    return floor
                return floor + (limit - floor) * (half - counted) / (below[limit] - counted)
            floor, counted = limit, below[limit]
        return math.nan
