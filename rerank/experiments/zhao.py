"""Zhao et al. 2019, Table 4: losses and a dense CRF on CamVid."""

from __future__ import annotations

from rerank.experiments.dense_network_bench import DenseNetworkBench, DenseNetworkRecipe
from rerank.experiments.dense_network_data import DenseNetworkSetting
from rerank.experiments.table_definition import Comparisons, PaperLine, PaperTable, Row, Table
from rerank.nets import Phase

SETTING = DenseNetworkSetting(
    "camvid",
    size=(144, 192),
    full_size=(360, 480),
    full_factor=6.5,  # about 6,000 steps, as in the paper
    full_scales=(0.75, 1.25),
    train_backbone=True,
    by_sequences=True,
    void_class=True,
    soft_labels=True,
)
EPOCHS = 24
#: Of all rows. The notes below say what was tried on training images.
RATE = 0.1

_CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)


def _trained(loss: str, prior_bias: bool = False) -> DenseNetworkRecipe:
    """Regions of the paper's factor 4 at full size, and of 2 at the small one."""
    full = loss.replace("factor=2", "factor=4")
    return DenseNetworkRecipe(
        (Phase(loss, EPOCHS, RATE),), (Phase(full, EPOCHS, RATE),), prior_bias=prior_bias
    )


TABLE = Table(
    name="zhao-table4",
    title="Region mutual information beside other losses and a dense CRF",
    data="CamVid, FCN-8s in form on SqueezeNet 1.0",
    rows=(
        Row("ce", "CE", 58.50, _trained("ce")),
        Row("bce", "BCE", None, _trained("bce", prior_bias=True), cost=1.1),
        Row(
            "ce-crf",
            "CE & CRF",
            58.59,
            DenseNetworkRecipe(
                dense_crf={
                    "n_iterations": 5,
                    "bilateral_sxy": 30.0,
                    "bilateral_srgb": 13.0,
                    "gaussian_sxy": 3.0,
                }
            ),
            start="ce",
            cost=0.5,
        ),
        Row("affinity", "Affinity", 59.60, _trained("ce + affinity"), cost=2.5),
        Row("rmi", "RMI", 61.11, _trained("rmi(factor=2, cross_entropy=softmax)"), cost=2.0),
        Row(
            "rmi-binary",
            "RMI with sigmoids' cross-entropy",
            None,
            _trained("rmi(factor=2)", prior_bias=True),
            cost=2.0,
        ),
    ),
    comparisons=Comparisons(
        "ce",
        pairs=(
            ("rmi", "affinity"),
            ("rmi", "ce-crf"),
            ("rmi", "rmi-binary"),
            ("rmi-binary", "bce"),
        ),
        aims={("rmi", "ce"): 1.5},
    ),
    bench=lambda scope: DenseNetworkBench(scope, SETTING),
    paper=PaperTable(
        source="Zhao et al. 2019, Table 4",
        data="CamVid, 233 test images, DeepLabv3 and DeepLabv3+ on ResNet-101",
        columns=("Method", *_CLASSES, "mIoU (%)"),
        lines=(
            PaperLine(
                "DeepLabv3 CE",
                (
                    88.06,
                    79.03,
                    10.12,
                    91.32,
                    73.21,
                    72.65,
                    41.04,
                    39.52,
                    79.35,
                    42.43,
                    54.51,
                    58.50,
                ),
            ),
            PaperLine(
                "DeepLabv3 CE & CRF",
                (90.64, 80.48, 4.70, 91.49, 73.64, 74.35, 39.93, 41.98, 80.45, 40.50, 54.20, 58.59),
            ),
            PaperLine(
                "DeepLabv3 Affinity",
                (
                    88.23,
                    78.85,
                    11.54,
                    92.77,
                    76.50,
                    71.96,
                    45.41,
                    39.27,
                    82.65,
                    43.26,
                    54.14,
                    59.60,
                ),
            ),
            PaperLine(
                "DeepLabv3 RMI",
                (
                    89.29,
                    79.89,
                    11.64,
                    92.04,
                    75.62,
                    73.39,
                    48.02,
                    43.25,
                    82.01,
                    46.74,
                    59.67,
                    61.11,
                ),
            ),
            PaperLine(
                "DeepLabv3+ CE",
                (
                    90.86,
                    80.28,
                    27.62,
                    93.60,
                    78.57,
                    74.35,
                    44.51,
                    38.86,
                    84.35,
                    51.80,
                    57.09,
                    62.82,
                ),
            ),
            PaperLine(
                "DeepLabv3+ CE & CRF",
                (
                    91.88,
                    80.92,
                    15.98,
                    93.20,
                    78.14,
                    74.89,
                    42.14,
                    39.72,
                    84.50,
                    40.74,
                    56.04,
                    61.68,
                ),
            ),
            PaperLine(
                "DeepLabv3+ Affinity",
                (
                    90.23,
                    81.03,
                    29.83,
                    93.93,
                    80.86,
                    74.75,
                    47.21,
                    41.50,
                    85.12,
                    54.97,
                    60.92,
                    64.42,
                ),
            ),
            PaperLine(
                "DeepLabv3+ RMI",
                (
                    90.91,
                    80.50,
                    28.68,
                    94.16,
                    81.28,
                    73.77,
                    52.08,
                    42.72,
                    83.22,
                    57.75,
                    62.57,
                    65.06,
                ),
            ),
        ),
    ),
    notes=(
        "Paper figures beside the rows are those of DeepLabv3. Its table has no row of binary "
        "cross-entropy for CamVid.",
        "The printed means are 1.8 to 2.9 points below those of the eleven printed classes; "
        "they fit a twelfth class of IoU 31 to 33 (42 for DeepLabv3+ CE & CRF), presumably "
        "void. Here the mean is over the eleven.",
        "The dense CRF runs 5 steps with the deviations that the paper gives (30, 13, 3); the "
        "paper takes the best of 1, 5 and 10 steps on the reported images.",
        "RMI's regions are cut after downsampling by 2, not 4, since the images are of less "
        "than half the size; at full size by 4.",
        "Void is learned as a class of its own, which is never predicted, so that regions at its "
        "borders are kept, as in the authors' training on CamVid. Labels are the shares of classes "
        "in each pixel of the small size. The losses of one sigmoid a class start from biases at "
        "the classes' log-odds. RMI's ridge is our default, 1e-12: the table rmi-ridge has others.",
        "Before, the table trained on train and judged by val, which is one shot of 6.7 s between "
        "frames of train: there RMI was 1.4 points below cross-entropy.",
        "Zhao et al. print their loss with the binary cross-entropy of sigmoids, and compare "
        "it with that of a softmax. Here sigmoids lose more than regions gain, hence the two "
        "rows: RMI beside the softmax, and as printed.",
        "What was tried, on every other image of the last third of the training images after "
        "training on every other of the rest (seed 0, 24 epochs): cross-entropy 43.5 at rate "
        "0.1 and 44.4 at 0.05; RMI 44.1 and 44.0; from cross-entropy half way 42.7; with "
        "softmax cross-entropy 45.0 and 45.0, with its weight 0.8 instead of 0.5 44.4, with "
        "gradients clipped at 50 instead of 5 43.4. With every third training image to train on "
        "and every sixth to judge by, cross-entropy reached 48.0, RMI 49.3, averaged over "
        "classes instead of summed 48.4, with weight 0.95 48.0. So RMI is ahead where a third "
        "of the images is trained on, and behind with all of them, and three times the steps. "
        "With the backbone frozen cross-entropy is "
        "ahead (46.5 against 45.2 at 180x240, all of the rest).",
    ),
)


#: Ridges on the covariance of RMI's prediction, and the authors' 5e-4 on the sum over points.
RIDGES = {
    "rmi-default": ("RMI, ridge 1e-12 (our default)", "prediction_ridge=1e-12"),
    "rmi-authors": ("RMI, ridge 5e-4 / N (the authors')", "prediction_ridge=5e-4, ridge_scale=sum"),
    "rmi-1e-6": ("RMI, ridge 1e-6", "prediction_ridge=1e-6"),
    "rmi-1e-5": ("RMI, ridge 1e-5", "prediction_ridge=1e-5"),
    "rmi-1e-4": ("RMI, ridge 1e-4", "prediction_ridge=1e-4"),
    "rmi-1e-3": ("RMI, ridge 1e-3", "prediction_ridge=1e-3"),
}

RIDGE_TABLE = Table(
    name="rmi-ridge",
    title="What a ridge on the covariance of the prediction does to region mutual information",
    data="CamVid, FCN-8s in form on SqueezeNet 1.0",
    rows=(
        Row("ce", "CE", None, _trained("ce")),
        *(
            Row(key, name, None, _trained(f"rmi(factor=2, cross_entropy=softmax, {ridge})"), cost=2)
            for key, (name, ridge) in RIDGES.items()
        ),
    ),
    comparisons=Comparisons(
        "ce",
        pairs=tuple((key, "rmi-default") for key in RIDGES if key != "rmi-default"),
        aims={(key, "ce"): 0.0 for key in RIDGES},
    ),
    bench=lambda scope: DenseNetworkBench(scope, SETTING),
    notes=(
        "The rows ce and rmi-default are those of zhao-table4, trained in the same way.",
        "N is the number of regions in an image, about 6,500 at the small size.",
    ),
)
