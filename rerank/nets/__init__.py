"""The coarse SegNet of Cogswell et al. 2014, dense networks, their backbones and training.

Backbones are read from files (`load_backbone_weights`) or drawn from a seed, stay frozen, and
give their activations as plain arrays; heads and dense networks train in one loop.
"""

from rerank.nets.augmented_images import AugmentedImages
from rerank.nets.backbone import Backbone
from rerank.nets.backbone_activations import (
    ActivationMap,
    backbone_activations,
    multi_layer_activations,
    warp_image,
)
from rerank.nets.backbone_filters import build_backbone
from rerank.nets.backbone_weights import (
    BackboneWeights,
    load_backbone_weights,
    save_backbone_weights,
)
from rerank.nets.coarse_segnet import CoarseSegNet, SegNetHead, head_probabilities
from rerank.nets.crf_net import DenseCRFNet
from rerank.nets.dense_fcn import DenseFCN
from rerank.nets.dense_network import DenseNetwork, DenseNetworkSettings
from rerank.nets.dense_network_training import fit_dense_network, keep_activations
from rerank.nets.heads import PAPER_PHASES, TrainedHead, train_head
from rerank.nets.kept_activations import KeptActivations
from rerank.nets.loss_names import loss_from_name
from rerank.nets.preprocessing import Preprocessing, preprocessing_by_name
from rerank.nets.published_weights import PUBLISHED_WEIGHTS, download_backbone_weights
from rerank.nets.schedule import Phase, TrainConfig
from rerank.nets.soft_target import cell_overlap, labelled_share, soft_target
from rerank.nets.training import EpochRecord, History, Progress, train
from rerank.nets.training_data import Batch, CoarseData, KeptInputs, TrainingData

__all__ = [
    "PAPER_PHASES",
    "PUBLISHED_WEIGHTS",
    "ActivationMap",
    "AugmentedImages",
    "Backbone",
    "BackboneWeights",
    "Batch",
    "CoarseData",
    "CoarseSegNet",
    "DenseCRFNet",
    "DenseFCN",
    "DenseNetwork",
    "DenseNetworkSettings",
    "EpochRecord",
    "History",
    "KeptActivations",
    "KeptInputs",
    "Phase",
    "Preprocessing",
    "Progress",
    "SegNetHead",
    "TrainConfig",
    "TrainedHead",
    "TrainingData",
    "backbone_activations",
    "build_backbone",
    "cell_overlap",
    "download_backbone_weights",
    "fit_dense_network",
    "head_probabilities",
    "keep_activations",
    "labelled_share",
    "load_backbone_weights",
    "loss_from_name",
    "multi_layer_activations",
    "preprocessing_by_name",
    "save_backbone_weights",
    "soft_target",
    "train",
    "train_head",
    "warp_image",
]
