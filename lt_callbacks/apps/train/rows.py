"""The methods that `lt-train` compares, by name: what each trains, or which teacher it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.plugins import DSink, NaiveDistillation
from lt_callbacks.teachers import FrozenTeacher

#: Two frozen teachers, f_N and f_L, to what is added to the base loss.
MakeDSink = Callable[[TrainConfig, FrozenTeacher, FrozenTeacher], DSink]

#: Roles of the teachers, f_L and f_N.
ROLES = ("imbalance", "noise")

#: The row that trains on the base loss alone; the others are compared with it.
PLAIN = "ce"

# Of predictions in a legend.
_MATCHED = "of all scored images, rescaled to the class totals that f_L predicts for them"


@dataclass(frozen=True)
class Recipe:
    """One row of the table.

    Attributes:
        title: How the table calls it, unless `title` says otherwise.
        meaning: What it is, for the legend.
        teacher: ``"imbalance"`` or ``"noise"`` where the row is that teacher itself.
        dsink: What is added to the base loss; None: nothing.
        matches_marginal: The row is the teacher, or the D-SINK student, with its predictions on the whole test set
            matched to the class marginal that f_L predicts for it; nothing is trained for it.
    """

    title: str
    meaning: str
    teacher: str | None = None
    dsink: MakeDSink | None = None
    matches_marginal: bool = False

    @property
    def is_trained(self) -> bool:
        """Whether the row has a training of its own, besides the teachers'."""
        return self.teacher is None and not self.matches_marginal

    @property
    def needs_student(self) -> bool:
        """Whether the row is made of the D-SINK student."""
        return self.teacher is None and self.matches_marginal

    @property
    def needs(self) -> tuple[str, ...]:
        """Roles of the teachers that must be settled before the row."""
        if self.dsink is not None or self.matches_marginal:
            return ROLES
        return () if self.teacher is None else (self.teacher,)


def num_trainings(methods: list[str]) -> int:
    """Trainings behind these rows of one seed, the teachers' among them, whether or not the store has them."""
    recipes = [RECIPES[method] for method in methods]
    num_teachers = len({role for recipe in recipes for role in recipe.needs})
    num_extra = int("dsink" not in methods and any(recipe.needs_student for recipe in recipes))
    return sum(recipe.is_trained for recipe in recipes) + num_teachers + num_extra


def title(method: str, config: TrainConfig) -> str:
    """How the table calls a method: the plain row is CE only where the base loss is cross-entropy."""
    if method == PLAIN and config.objective.name != "cross_entropy":
        return f"base loss ({config.objective.name})"
    return RECIPES[method].title


def meanings(config: TrainConfig) -> dict[str, str]:
    """The legend of the run's table: title of each row -> what it is."""
    return {title(method, config): RECIPES[method].meaning for method in config.methods}


def _dsink(**changes: Any) -> MakeDSink:
    def make(config: TrainConfig, noise: FrozenTeacher, imbalance: FrozenTeacher) -> DSink:
        return DSink(noise_teacher=noise, imbalance_teacher=imbalance, **{**vars(config.dsink), **changes})

    return make


def _naive(config: TrainConfig, noise: FrozenTeacher, imbalance: FrozenTeacher) -> DSink:
    return NaiveDistillation(
        noise_teacher=noise,
        imbalance_teacher=imbalance,
        alpha=config.dsink.alpha,
        warmup_epochs=config.dsink.warmup_epochs,
    )


RECIPES: dict[str, Recipe] = {
    PLAIN: Recipe("CE", "the base loss on the given labels; no teacher"),
    "imbalance_teacher": Recipe("f_L alone", "the teacher made for the imbalance, by itself", teacher="imbalance"),
    "noise_teacher": Recipe("f_N alone", "the teacher made for wrong labels, by itself", teacher="noise"),
    "naive": Recipe(
        "naive distillation",
        "the base loss, and as a second label the mean of both teachers' predictions",
        dsink=_naive,
    ),
    "dsink": Recipe(
        "D-SINK",
        "the base loss, and as a second label what the model and f_N predict, with the class totals that f_L predicts",
        dsink=_dsink(),
    ),
    "rows_only": Recipe("D-SINK, rows only", "D-SINK without class totals", dsink=_dsink(class_marginal="none")),
    "uniform_marginal": Recipe(
        "D-SINK, uniform marginal", "D-SINK with equal class totals", dsink=_dsink(class_marginal="uniform")
    ),
    "own_marginal": Recipe(
        "D-SINK, own marginal (no f_L)",
        "D-SINK with the class totals that the model itself predicts",
        dsink=_dsink(class_marginal="student"),
    ),
    "no_noise_teacher": Recipe(
        "D-SINK, no f_N", "D-SINK with the model's predictions and none of f_N", dsink=_dsink(student_weight=1.0)
    ),
    "running_marginal": Recipe(
        "D-SINK, running marginal",
        "D-SINK with f_L's class totals averaged over batches",
        dsink=_dsink(class_marginal="running"),
    ),
    "noise_teacher_matched": Recipe(
        "f_N matched to f_L, no training",
        f"f_N's predictions {_MATCHED}",
        teacher="noise",
        matches_marginal=True,
    ),
    "dsink_matched": Recipe("D-SINK matched to f_L", f"D-SINK's predictions {_MATCHED}", matches_marginal=True),
}
