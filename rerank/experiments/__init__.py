"""The papers' tables and figures measured again, and the fully connected CRF on a folder of maps.

Only the command line imports this package.
"""

from rerank.experiments.dense_crf_files import DenseCRFSettings, refine_files, refine_map
from rerank.experiments.paper_tables import TABLES, reproduce_table
from rerank.experiments.plots import PLOTS, draw_plot, energy_curves

__all__ = [
    "PLOTS",
    "TABLES",
    "DenseCRFSettings",
    "draw_plot",
    "energy_curves",
    "refine_files",
    "refine_map",
    "reproduce_table",
]
