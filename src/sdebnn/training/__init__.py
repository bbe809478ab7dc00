"""Training runs, the same for both frameworks: the loop over batches, what it keeps, and a finished run read back."""

from sdebnn.errors import Stopped
from sdebnn.training import prediction_file
from sdebnn.training.callbacks import Callback, Training
from sdebnn.training.learner import Learner, WeightPaths
from sdebnn.training.loop import Fitted, fit
from sdebnn.training.predictions import class_probabilities, sample_probabilities
from sdebnn.training.run import Restored, Run, restore, resume_run, start_run

__all__ = [
    "Callback",
    "Fitted",
    "Learner",
    "Restored",
    "Run",
    "Stopped",
    "Training",
    "WeightPaths",
    "class_probabilities",
    "fit",
    "prediction_file",
    "restore",
    "resume_run",
    "sample_probabilities",
    "start_run",
]
