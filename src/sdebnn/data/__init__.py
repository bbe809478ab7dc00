"""Data sets, numpy in and numpy out: toy problems, images, tables and one's own arrays.

`load` gives a `Dataset` by name; `batches` gives the order of training; `to_float` makes pixels what a network takes.
"""

from sdebnn.data.batches import batches
from sdebnn.data.dataset import Dataset, to_float
from sdebnn.data.files import data_home
from sdebnn.data.registry import NAMES, load
from sdebnn.data.split import train_validation_split

__all__ = ["NAMES", "Dataset", "batches", "data_home", "load", "to_float", "train_validation_split"]
