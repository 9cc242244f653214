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
from rerank.reports.page import (
    TIMINGS,
    Example,
    Page,
    Panel,
    Section,
    TextTable,
    render_page,
    render_text_tables,
    render_timings,
)

__all__ = [
    "TIMINGS",
    "Evaluation",
    "Example",
    "Page",
    "Panel",
    "Section",
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
    "render_page",
    "render_text_tables",
    "render_timings",
    "to_csv",
    "to_png",
]
