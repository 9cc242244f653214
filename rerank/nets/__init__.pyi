from .activation_maps import (
    ActivationMap,
    backbone_activations,
    multi_layer_activations,
    warp_image,
)
from .augmented_images import AugmentedImages
from .backbone import Backbone
from .backbone_filters import build_backbone
from .backbone_weights import BackboneWeights, load_backbone_weights, save_backbone_weights
from .coarse_segnet import CoarseSegNet, SegNetHead, head_probabilities
from .crf_net import DenseCRFNet
from .dense_fcn import DenseFCN
from .dense_network import DenseNetwork, DenseNetworkSettings
from .dense_network_training import fit_dense_network, keep_activations
from .devices import torch_device
from .heads import PAPER_PHASES, TrainedHead, new_head, train_head
from .kept_activations import KeptActivations
from .loss_names import loss_from_name
from .map_writing import module_map, write_network_maps
from .network_files import NetworkFile, network_map, open_network
from .network_input import NetworkSettings
from .preprocessing import Preprocessing, preprocessing_by_name
from .published_weights import PUBLISHED_WEIGHTS, download_backbone_weights
from .schedule import Phase, TrainConfig
from .soft_targets import cell_overlap, labelled_share, soft_target
from .training import EpochRecord, History, Progress, train
from .training_data import Batch, CoarseData, KeptInputs, TrainingData

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
    "NetworkFile",
    "NetworkSettings",
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
    "module_map",
    "multi_layer_activations",
    "network_map",
    "new_head",
    "open_network",
    "preprocessing_by_name",
    "save_backbone_weights",
    "soft_target",
    "torch_device",
    "train",
    "train_head",
    "warp_image",
    "write_network_maps",
]
