"""Data sets by name: images and labels as arrays, from public collections in their own layouts,
from any folder of images and masks, and from scenes that the program draws; a check that finds
all that is wrong with the files at once; and masks as palette PNGs and overlays."""

from rerank.datasets.catalogue import dataset_names, dataset_splits, open_dataset
from rerank.datasets.dataset import Dataset, Sample
from rerank.datasets.dataset_check import check_dataset
from rerank.datasets.image_files import read_image, read_index_mask
from rerank.datasets.palettes import colourize, overlay, save_labels_png, voc_palette
from rerank.datasets.problems import Finding

__all__ = [
    "Dataset",
    "Finding",
    "Sample",
    "check_dataset",
    "colourize",
    "dataset_names",
    "dataset_splits",
    "open_dataset",
    "overlay",
    "read_image",
    "read_index_mask",
    "save_labels_png",
    "voc_palette",
]
