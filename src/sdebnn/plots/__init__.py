"""Pictures of what a model knows and does not know, as PNG files; needs `pip install 'sdebnn[plots]'`."""

from sdebnn.plots.interval_calibration import draw_interval_calibration
from sdebnn.plots.predictive_bands import draw_predictive_bands
from sdebnn.plots.predictive_entropy import draw_predictive_entropy
from sdebnn.plots.predictive_intervals import draw_predictive_intervals
from sdebnn.plots.predictive_percentiles import draw_predictive_percentiles
from sdebnn.plots.reliability_diagram import draw_reliability_diagram
from sdebnn.plots.risk_coverage import draw_risk_coverage
from sdebnn.plots.style import require_matplotlib
from sdebnn.plots.training_curves import draw_training_curves
from sdebnn.plots.weight_paths import draw_weight_paths

__all__ = [
    "draw_interval_calibration",
    "draw_predictive_bands",
    "draw_predictive_entropy",
    "draw_predictive_intervals",
    "draw_predictive_percentiles",
    "draw_reliability_diagram",
    "draw_risk_coverage",
    "draw_training_curves",
    "draw_weight_paths",
    "require_matplotlib",
]
