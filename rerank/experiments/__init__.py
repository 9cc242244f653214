"""The papers' tables and figures, measured again."""

from rerank.experiments.paper_tables import TABLES, reproduce_table
from rerank.experiments.plots import PLOTS, draw_plot, energy_curves

__all__ = ["PLOTS", "TABLES", "draw_plot", "energy_curves", "reproduce_table"]
