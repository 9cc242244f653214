"""Larsson et al. 2017, Table 1: CRF-Grad on Weizmann Horse, spatial and full, fixed and learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank.experiments.dense_network_bench import DenseNetworkBench, DenseNetworkRecipe
from rerank.experiments.dense_network_data import DenseNetworkSetting
from rerank.experiments.table_definition import Comparisons, PaperLine, PaperTable, Row, Table
from rerank.nets import Phase

SETTING = DenseNetworkSetting("weizmann_horse", size=(120, 160), full_size=(321, 481))
BASE = (Phase("ce", 30, 0.02),)
#: The net alone is trained for as long as the others, so that no row has been trained for longer.
JOINT = (Phase("ce", 10, 0.005),)

_KERNELS: Mapping[str, Mapping[str, Any]] = {
    "spatial-gaussian": {"spatial": "gaussian", "bilateral": "none"},
    "spatial": {"spatial": "learned", "bilateral": "none"},
    # The default deviation of 80 pixels is for images of some 375 rows.
    "full-gaussian": {"spatial": "gaussian", "bilateral": "gaussian", "position_std": 80 / 375},
    "full": {"spatial": "learned", "bilateral": "learned", "position_std": 80 / 375},
}


def _row(key: str, name: str, paper: float, cost: float) -> Row:
    return Row(
        key, name, paper, DenseNetworkRecipe(JOINT, layer=_KERNELS[key]), start="base", cost=cost
    )


TABLE = Table(
    name="larsson-table1",
    title="A net alone and with CRF-Grad on top",
    data="Weizmann Horse, 50 validation images, FCN-8s in form on SqueezeNet 1.0",
    rows=(
        Row(
            "base", "the net that all rows start from", None, DenseNetworkRecipe(BASE), shown=False
        ),
        Row("net", "FCN-8s (only)", 80.0, DenseNetworkRecipe(JOINT), start="base", cost=0.4),
        _row("spatial-gaussian", "FCN-8s + spatial (Gaussian)", 81.3, 0.8),
        _row("spatial", "FCN-8s + spatial", 82.0, 1.0),
        _row("full-gaussian", "FCN-8s + full (Gaussian)", 82.9, 2.5),
        _row("full", "FCN-8s + full", 84.0, 4.0),
    ),
    comparisons=Comparisons(
        "net",
        pairs=(("spatial", "spatial-gaussian"), ("full", "full-gaussian"), ("full", "spatial")),
        aims={("full", "net"): 2.0, ("full", "full-gaussian"): 0.0},
    ),
    bench=lambda scope: DenseNetworkBench(scope, SETTING),
    paper=PaperTable(
        source="Larsson et al. 2017, Table 1",
        data="Weizmann Horse, 128 test images, FCN-8s on VGG-16",
        columns=("Method", "Mean IoU (%)"),
        lines=(
            PaperLine("FCN-8s (only)", (80.0,)),
            PaperLine("FCN-8s + spatial (Gaussian)", (81.3,)),
            PaperLine("FCN-8s + spatial", (82.0,)),
            PaperLine("FCN-8s + full (Gaussian)", (82.9,)),
            PaperLine("FCN-8s + full", (84.0,)),
        ),
    ),
    notes=(
        "Every row starts from one net of its seed, trained by itself with cross-entropy, and "
        "is trained for the same number of steps at the same rate; with a layer, net and layer "
        "are trained together, and Gaussian kernels have no weights but the unary's.",
        "At the small size the backbone is frozen.",
    ),
)
