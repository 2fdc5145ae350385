"""Error analysis: mistakes with their causes, bad slices, probable label errors and costs of thresholds."""

from trainer.evaluation.analysis.analyse import analyse
from trainer.evaluation.analysis.costs import Costs, check_costs, parse_costs
from trainer.evaluation.analysis.label_errors import find_label_errors
from trainer.evaluation.analysis.options import AnalysisModel, AnalysisOptions

__all__ = [
    "AnalysisModel",
    "AnalysisOptions",
    "Costs",
    "analyse",
    "check_costs",
    "find_label_errors",
    "parse_costs",
]
