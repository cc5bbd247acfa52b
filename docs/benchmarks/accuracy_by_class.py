"""Draw the picture of the README from docs/results/digits.json: accuracy by class of four rows of its table.

Run: python docs/benchmarks/accuracy_by_class.py
"""

from pathlib import Path

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.evaluation import per_class_accuracy_figure, read_result, save_figure

DOCS = Path(__file__).resolve().parents[1]
METHODS = ("CE", "f_L alone", "f_N alone", "D-SINK")


def main() -> None:
    """Write docs/figures/digits_two_teachers.png."""
    document = read_result(DOCS / "results" / "digits.json")
    settings = document.settings
    data = LongTailedDataModule(
        source=digits(),
        imbalance=Imbalance(**settings["imbalance"]),
        noise=Noise(**settings["noise"]),
        validation_fraction=settings["data"]["validation_fraction"],
    )
    results = [result for method in METHODS for result in document.results if result.method == method]
    title = "Digits, imbalance 20:1, 40 % wrong labels (nominal)"
    figure = per_class_accuracy_figure(results, class_counts=data.true_class_counts, title=title)
    save_figure(figure, DOCS / "figures" / "digits_two_teachers.png")


if __name__ == "__main__":
    main()
