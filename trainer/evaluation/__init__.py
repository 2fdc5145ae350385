"""Evaluation: metrics with confidence intervals, calibration and decision thresholds."""
