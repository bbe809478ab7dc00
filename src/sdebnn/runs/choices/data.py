"""What is made of the data, and what is held out of them."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class DataChoices(Choices):
    """Data."""

    task: Literal["auto", "classification", "regression"] = choice(
        "auto",
        "what the answers are: auto, whole numbers are classes and others targets of a regression, and where both "
        "could be meant the choice is asked for",
    )
    layout: Literal["auto", "table", "images", "channels_first"] = choice(
        "auto",
        "what the inputs of a file are: auto, by their shape; table, rows to which more dimensions are flattened; "
        "images (n, h, w) or (n, h, w, c); channels_first, images (n, c, h, w)",
    )
    target: str = choice(
        "", "the column of a csv, tsv or parquet file that is to be predicted; several are joined by commas"
    )
    scale: bool = choice(
        True,
        "whether a table of your own is standardised inside the run, by its training examples; predictions come in the "
        "units of the file all the same",
    )
    augmentation: Literal["none", "crop", "crop_flip"] = choice(
        "none",
        "random changes to training images: crop moves them by up to 4 pixels (2 below 32 pixels a side), the border "
        "filled with zeros; crop_flip also mirrors half of them left to right",
    )
    tuning: Literal["none", "folds"] = choice(
        "none",
        "how long a table is learned from: none, for all steps; folds, every member holds a part of the training "
        "examples out and keeps the parameters that predict those best, over at most max_steps gradient steps",
    )
    validation: float = choice(
        0.0,
        "share of the training data held out to choose the best checkpoint by its NLL, which then makes the "
        "predictions; 0 holds out none and takes the last",
        low=0,
        below=1,
    )
