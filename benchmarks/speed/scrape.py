"""What a worker's /metrics tell of a span of time: the difference of two scrapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one scrape, or of what came between two."""

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
        """What was counted after an earlier scrape."""
        return Scrape({key: value - earlier.values.get(key, 0) for key, value in self.values.items()})

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (found, has), v in self.values.items() if found == name and wanted <= set(has))

    def median(self, histogram: str, **labels: str) -> float:
        """A histogram's median, in its own unit, interpolated within its bucket; NaN when it is empty."""
        wanted = set(labels.items())
        below: dict[float, float] = {}
        for (name, has), value in self.values.items():
            if name == f"{histogram}_bucket" and wanted <= set(has):
                limit = float(dict(has)["le"])
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
