"""Training runs, the same for both frameworks: the loop over batches, what it keeps, and a finished run read back."""

from sdebnn.errors import Stopped
from sdebnn.training import prediction_file
from sdebnn.training.callbacks import Callback, Training
from sdebnn.training.learner import Learner, Predictive, WeightPaths
from sdebnn.training.loop import Fitted, fit
from sdebnn.training.plain_network import PlainNetwork
from sdebnn.training.posterior import Posterior, load_posterior
from sdebnn.training.prediction import LabelPrediction, Prediction, TargetPrediction, Uncertainty
from sdebnn.training.predictions import class_probabilities, sample_probabilities
from sdebnn.training.run import Restored, Run, restore, resume_run, start_run

__all__ = [
    "Callback",
    "Fitted",
    "LabelPrediction",
    "Learner",
    "PlainNetwork",
    "Posterior",
    "Prediction",
    "Predictive",
    "Restored",
    "Run",
    "Stopped",
    "TargetPrediction",
    "Training",
    "Uncertainty",
    "WeightPaths",
    "class_probabilities",
    "fit",
    "load_posterior",
    "prediction_file",
    "restore",
    "resume_run",
    "sample_probabilities",
    "start_run",
]
