"""The part of a model that reads metadata: numbers as they come, names as vectors that are learnt."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from stream.bundle import CategoricalColumn, MetadataColumn
from stream.classify import FIRST_CATEGORY, UNSEEN_CATEGORY

MOST_DIMENSIONS = 16
MOST_DEVIATIONS = 10.0
"""Further from the mean a number says no more: one that is off by far shall not drown the text."""

UNSEEN_SHARE = 0.05
"""Share of the names that are hidden in training, so that the vector of an unseen name is learnt too."""


class MetadataEmbedding(nn.Module):  # type: ignore[misc] # torch is not followed
    """Metadata columns, as `stream.classify.metadata.MetadataEncoder` writes them, to one vector a row.

    A column of numbers passes its two graph columns on, at most ten deviations from the mean. A column of
    names has its index in the graph as a float; it is cast back and looked up in an embedding (as in Guo and
    Berkhahn 2016, "Entity Embeddings of Categorical Variables") of about the square root of the number of
    names.

    Attributes:
        width: numbers in a row's vector.
    """

    def __init__(self, columns: Sequence[MetadataColumn]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        self._numeric: list[int] = []
        self._categorical: list[int] = []
        at = 0
        for column in columns:
            if isinstance(column, CategoricalColumn):
                names = FIRST_CATEGORY + len(column.values)
                table = nn.Embedding(names, min(MOST_DIMENSIONS, 1 + math.isqrt(names)))
                # What is not known says nothing until something is learnt of it.
                nn.init.zeros_(table.weight.data[:FIRST_CATEGORY])
                self.embeddings.append(table)
                self._categorical.append(at)
            else:
                self._numeric += [at, at + 1]
            at += column.width
        # A checkpoint keeps it, so that a training which is resumed hides what it would have hidden.
        self.register_buffer("_draws", torch.zeros((), dtype=torch.int64))
        self.width = len(self._numeric) + sum(table.embedding_dim for table in self.embeddings)

    def forward(self, metadata: Any) -> Any:
        """float [rows, width] for float32 [rows, graph columns]."""
        numbers = metadata[:, self._numeric].clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        parts = [numbers] if self._numeric else []
        names = metadata[:, self._categorical].to(torch.int64)
        if self.training:
            names = self._some_hidden(names)
        parts += [table(names[:, at]) for at, table in enumerate(self.embeddings)]
        return torch.cat(parts, dim=-1)

    def _some_hidden(self, names: Any) -> Any:
        """Some names of int64 [rows, columns] made unseen, drawn for each row and column."""
        # Of a generator of its own: the text's dropout shall not depend on whether metadata is read.
        draws = torch.Generator().manual_seed(torch.initial_seed() + int(self._draws))
        self._draws += 1
        hidden = (torch.rand(names.shape, generator=draws) < UNSEEN_SHARE).to(names.device)
        return torch.where(
            hidden & (names >= FIRST_CATEGORY), torch.full_like(names, int(UNSEEN_CATEGORY)), names
        )
