"""Data sets by name: images and labels as arrays, from public collections in their own layouts,
from any folder of images and masks, and from scenes that the program draws; a check that finds
all that is wrong with the files at once; and masks as palette PNGs and overlays."""

from rerank.datasets.checking import check_dataset
from rerank.datasets.dataset import Dataset, Sample
from rerank.datasets.finding import Finding
from rerank.datasets.opening import dataset_names, dataset_splits, open_dataset
from rerank.datasets.palettes import colourize, overlay, save_labels_png, voc_palette
from rerank.datasets.reading import read_image, read_index_mask

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
