"""Variants with lenient parity limits, for tiny random models without margins between their labels."""

from dataclasses import replace

from trainer.export.parity import ParityLimits
from trainer.export.variants import FP16, INT8, INT8_STATIC, can_calibrate

LENIENT = ParityLimits(50, 0.1)
LENIENT_INT8 = replace(INT8, limits=LENIENT)
LENIENT_STATIC = replace(INT8_STATIC, limits=LENIENT)
LENIENT_VARIANTS = (LENIENT_INT8, *([LENIENT_STATIC] if can_calibrate() else []), FP16)
