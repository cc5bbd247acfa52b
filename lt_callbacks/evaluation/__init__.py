"""Result documents, comparisons, figures and pages from plain records; large packages are imported on use only."""

from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.conclusion import conclusion
from lt_callbacks.evaluation.comparison.gains import Gain, gain_over
from lt_callbacks.evaluation.comparison.pool_results import pool_results
from lt_callbacks.evaluation.comparison.statistics import PairedDifference, mean, paired_difference, sd
from lt_callbacks.evaluation.comparison.summary import Spread, TableRow, summarise
from lt_callbacks.evaluation.figures.class_confidence import class_confidence_figure
from lt_callbacks.evaluation.figures.class_counts import class_counts_figure
from lt_callbacks.evaluation.figures.distilled_images import distilled_images_figure
from lt_callbacks.evaluation.figures.gain_map import gain_maps_figure
from lt_callbacks.evaluation.figures.heat_map import accuracy_maps_figure
from lt_callbacks.evaluation.figures.per_class_accuracy import per_class_accuracy_figure
from lt_callbacks.evaluation.figures.proxy_labels import proxy_labels_figure
from lt_callbacks.evaluation.figures.save_figure import save_figure
from lt_callbacks.evaluation.figures.setting_lines import accuracy_lines_figure, gain_lines_figure
from lt_callbacks.evaluation.figures.shot_bars import shot_bars_figure
from lt_callbacks.evaluation.figures.tau_curve import tau_curve_figure
from lt_callbacks.evaluation.figures.training_curves import training_curves_figure
from lt_callbacks.evaluation.figures.transition import transition_figure
from lt_callbacks.evaluation.pages.csv_files import csv_table
from lt_callbacks.evaluation.pages.markdown_page import markdown_table
from lt_callbacks.evaluation.pages.method_table import table_note
from lt_callbacks.evaluation.pages.run_report import write_run_report
from lt_callbacks.evaluation.pages.terminal_table import rich_table
from lt_callbacks.evaluation.records.environment import hardware, versions
from lt_callbacks.evaluation.records.find_results import find_results
from lt_callbacks.evaluation.records.json_result import ResultDocument, read_result, write_result
from lt_callbacks.evaluation.records.method_result import MethodResult
from lt_callbacks.evaluation.records.result_file import ResultFile

__all__ = [
    "Comparison",
    "Gain",
    "MethodResult",
    "PairedDifference",
    "ResultDocument",
    "ResultFile",
    "SettingResults",
    "Spread",
    "TableRow",
    "accuracy_lines_figure",
    "accuracy_maps_figure",
    "class_confidence_figure",
    "class_counts_figure",
    "conclusion",
    "csv_table",
    "distilled_images_figure",
    "find_results",
    "gain_lines_figure",
    "gain_maps_figure",
    "gain_over",
    "hardware",
    "markdown_table",
    "mean",
    "paired_difference",
    "per_class_accuracy_figure",
    "pool_results",
    "proxy_labels_figure",
    "read_result",
    "rich_table",
    "save_figure",
    "sd",
    "shot_bars_figure",
    "summarise",
    "table_note",
    "tau_curve_figure",
    "training_curves_figure",
    "transition_figure",
    "versions",
    "write_result",
    "write_run_report",
]
