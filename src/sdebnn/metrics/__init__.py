"""Scores of predictions: accuracy, proper scores, calibration, uncertainty and regression. Numpy in, numbers out."""

from sdebnn.metrics.agreement import agreement, total_variation
from sdebnn.metrics.calibration import (
    ReliabilityBins,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_bins,
)
from sdebnn.metrics.intervals import (
    in_central_interval,
    interval_coverage,
    interval_score,
    interval_width,
    mixture_quantile,
)
from sdebnn.metrics.noise_laws import NOISE_LAWS
from sdebnn.metrics.ood import auroc, average_precision, fpr95
from sdebnn.metrics.probability_integral_transform import CoverageCurve, coverage_curve, pit
from sdebnn.metrics.regression import (
    crps_gaussian,
    crps_samples,
    gaussian_log_likelihood,
    mixture_cdf,
    mixture_log_likelihood,
    mixture_log_probs,
    noise_log_probs,
    rmse,
)
from sdebnn.metrics.report import (
    SCORES_OF_CLASSES,
    SCORES_OF_TARGETS,
    classification_report,
    interval_report,
    ood_report,
    predictive_report,
    regression_report,
)
from sdebnn.metrics.scores import accuracy, brier, macro_f1, nll, recall
from sdebnn.metrics.selective import (
    RiskCoverageCurve,
    generalized_risk_coverage_area,
    risk_at_coverage,
    risk_coverage_area,
    risk_coverage_curve,
)
from sdebnn.metrics.uncertainty import entropy, mutual_information

__all__ = [
    "NOISE_LAWS",
    "SCORES_OF_CLASSES",
    "SCORES_OF_TARGETS",
    "CoverageCurve",
    "ReliabilityBins",
    "RiskCoverageCurve",
    "accuracy",
    "agreement",
    "auroc",
    "average_precision",
    "brier",
    "classification_report",
    "classwise_calibration_error",
    "coverage_curve",
    "crps_gaussian",
    "crps_samples",
    "entropy",
    "expected_calibration_error",
    "fpr95",
    "gaussian_log_likelihood",
    "generalized_risk_coverage_area",
    "in_central_interval",
    "interval_coverage",
    "interval_report",
    "interval_score",
    "interval_width",
    "macro_f1",
    "maximum_calibration_error",
    "mixture_cdf",
    "mixture_log_likelihood",
    "mixture_log_probs",
    "mixture_quantile",
    "mutual_information",
    "nll",
    "noise_log_probs",
    "ood_report",
    "pit",
    "predictive_report",
    "recall",
    "regression_report",
    "reliability_bins",
    "risk_at_coverage",
    "risk_coverage_area",
    "risk_coverage_curve",
    "rmse",
    "total_variation",
]
