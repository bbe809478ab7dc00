"""What a training run is, for both frameworks: its choices, folder, checkpoints, log and progress bar."""

from sdebnn.runs import checkpoint
from sdebnn.runs.config import PRESETS, TrainConfig
from sdebnn.runs.folder import RunFolder
from sdebnn.runs.log import MetricsLog
from sdebnn.runs.papers import PAPERS, of_paper
from sdebnn.runs.progress import Progress

__all__ = ["PAPERS", "PRESETS", "MetricsLog", "Progress", "RunFolder", "TrainConfig", "checkpoint", "of_paper"]
