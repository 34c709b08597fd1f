"""Measures search against known answers: `pixr eval`."""

from pixr.evaluation.ground_truth import Judged, Span, read_ground_truth
from pixr.evaluation.measures import Measures, measure
from pixr.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "Judged", "Measures", "Span", "evaluate", "measure", "read_ground_truth"]
