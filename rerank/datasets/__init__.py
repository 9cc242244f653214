"""Data sets by name: public collections in their own layouts, any folder of images and masks, and
scenes that the program draws. Each gives images and labels as arrays. `check_dataset` lists all
problems of the files at once, `prepare_dataset` arranges published archives, and masks can be
written as palette PNGs and overlays."""

from rerank.datasets.catalogue import dataset_names, dataset_splits, open_dataset
from rerank.datasets.dataset import Dataset, Moment, Sample
from rerank.datasets.dataset_check import check_dataset
from rerank.datasets.image_files import read_image, read_index_mask
from rerank.datasets.map_values import NetworkMap, fit_map
from rerank.datasets.network_maps import find_map, read_map
from rerank.datasets.palettes import (
    colourize,
    overlay,
    painted_classes,
    save_labels_png,
    voc_palette,
)
from rerank.datasets.preparation import prepare_dataset
from rerank.datasets.problems import FileProblem

__all__ = [
    "Dataset",
    "FileProblem",
    "Moment",
    "NetworkMap",
    "Sample",
    "check_dataset",
    "colourize",
    "dataset_names",
    "dataset_splits",
    "find_map",
    "fit_map",
    "open_dataset",
    "overlay",
    "painted_classes",
    "prepare_dataset",
    "read_image",
    "read_index_mask",
    "read_map",
    "save_labels_png",
    "voc_palette",
]
