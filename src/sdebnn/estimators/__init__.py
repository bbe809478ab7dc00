"""Estimators that keep scikit-learn's contract: a table in, calibrated answers out, in either framework."""

from sdebnn.estimators.classifier import SDEBNNClassifier
from sdebnn.estimators.regressor import SDEBNNRegressor

__all__ = ["SDEBNNClassifier", "SDEBNNRegressor"]
