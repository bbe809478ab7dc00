"""Data sets, numpy in and numpy out: toy problems, images, tables and one's own arrays.

`load` gives a `Dataset` by name; `batch_stream` gives the order of training; `to_float` makes pixels what a network
takes.
"""

from sdebnn.data.augmentation import augment, check_images
from sdebnn.data.batches import batch_stream, batches
from sdebnn.data.dataset import Dataset, to_float
from sdebnn.data.description import describe, doubts
from sdebnn.data.files import data_home
from sdebnn.data.held_out import hold_out
from sdebnn.data.images import IMAGE_SETS, load_images
from sdebnn.data.inputs import as_inputs
from sdebnn.data.npz import load_inputs, load_npz
from sdebnn.data.ood import OOD_SETS, load_ood, ood_images
from sdebnn.data.registry import FILES, NAMES, is_published, is_table, load, read_inputs
from sdebnn.data.shifts import CORRUPTIONS, MNIST_C, MOTIONS, SHIFTS, shifted
from sdebnn.data.split import train_validation_split
from sdebnn.data.streamed import StreamedDataset
from sdebnn.data.table_encoding import TableEncoding
from sdebnn.data.tables import read_table
from sdebnn.data.uci import load_uci

__all__ = [
    "CORRUPTIONS",
    "FILES",
    "IMAGE_SETS",
    "MNIST_C",
    "MOTIONS",
    "NAMES",
    "OOD_SETS",
    "SHIFTS",
    "Dataset",
    "StreamedDataset",
    "TableEncoding",
    "as_inputs",
    "augment",
    "batch_stream",
    "batches",
    "check_images",
    "data_home",
    "describe",
    "doubts",
    "hold_out",
    "is_published",
    "is_table",
    "load",
    "load_images",
    "load_inputs",
    "load_npz",
    "load_ood",
    "load_uci",
    "ood_images",
    "read_inputs",
    "read_table",
    "shifted",
    "to_float",
    "train_validation_split",
]
