"""Evaluations with intervals, curves, CSV texts, and the HTML pages that hold them."""

from rerank.reports.csv_text import to_csv
from rerank.reports.embedded_pictures import data_uri, label_picture, photograph
from rerank.reports.evaluation import Evaluation, evaluate, evaluation_rows
from rerank.reports.figures import (
    draw_bars,
    draw_class_iou,
    draw_oracle_curve,
    draw_pictures,
    to_png,
)
from rerank.reports.page import Example, Panel, TextTable, render_text_tables
from rerank.reports.run_page import render_run_page

__all__ = [
    "Evaluation",
    "Example",
    "Panel",
    "TextTable",
    "data_uri",
    "draw_bars",
    "draw_class_iou",
    "draw_oracle_curve",
    "draw_pictures",
    "evaluate",
    "evaluation_rows",
    "label_picture",
    "photograph",
    "render_run_page",
    "render_text_tables",
    "to_csv",
    "to_png",
]
