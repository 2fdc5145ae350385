"""Parity: the comparison of a bundle's variants with the stored reference logits.

These names are the public interface of the package.
"""

from stream.verify.inference import infer_all
from stream.verify.parity import (
    RowDifference,
    accepted_limits,
    compare,
    equal_decisions,
    label_agreement,
    largest_differences,
    parity_limits,
    within_tolerance,
)
from stream.verify.reference import REFERENCE_LOGITS, REFERENCE_TEXTS, read_lengths, read_reference

__all__ = [
    "REFERENCE_LOGITS",
    "REFERENCE_TEXTS",
    "RowDifference",
    "accepted_limits",
    "compare",
    "equal_decisions",
    "infer_all",
    "label_agreement",
    "largest_differences",
    "parity_limits",
    "read_lengths",
    "read_reference",
    "within_tolerance",
]
