"""Tables, figures and result documents from plain records; matplotlib, scipy and rich are imported on use only."""

from lt_callbacks.evaluation.class_confidence import class_confidence_figure
from lt_callbacks.evaluation.class_counts import class_counts_figure
from lt_callbacks.evaluation.distilled_images import distilled_images_figure
from lt_callbacks.evaluation.environment import hardware, versions
from lt_callbacks.evaluation.find_results import find_results
from lt_callbacks.evaluation.gain_map import gain_maps_figure
from lt_callbacks.evaluation.gains import Gain, gain_over
from lt_callbacks.evaluation.heat_map import accuracy_maps_figure
from lt_callbacks.evaluation.job_results import Comparison, SettingResults, pool_results
from lt_callbacks.evaluation.json_result import ResultDocument, read_result, write_result
from lt_callbacks.evaluation.per_class_accuracy import per_class_accuracy_figure
from lt_callbacks.evaluation.proxy_labels import proxy_labels_figure
from lt_callbacks.evaluation.result_file import ResultFile
from lt_callbacks.evaluation.results import CellResult
from lt_callbacks.evaluation.run_report import write_run_report
from lt_callbacks.evaluation.save_figure import save_figure
from lt_callbacks.evaluation.setting_lines import accuracy_lines_figure, gain_lines_figure
from lt_callbacks.evaluation.shot_bars import shot_bars_figure
from lt_callbacks.evaluation.statistics import PairedDifference, mean, paired_difference, sd
from lt_callbacks.evaluation.table import Spread, TableRow, summarise
from lt_callbacks.evaluation.table_formats import csv_table, markdown_table, rich_table, table_note
from lt_callbacks.evaluation.tau_curve import tau_curve_figure
from lt_callbacks.evaluation.training_curves import training_curves_figure
from lt_callbacks.evaluation.transition import transition_figure

__all__ = [
    "CellResult",
    "Comparison",
    "Gain",
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
