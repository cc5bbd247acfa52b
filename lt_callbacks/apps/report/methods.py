"""What a comparison is about: which method is compared with which, by the names that the commands give their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Titles of rows of `apps.train.rows` and `apps.distill.rows`, which would load torch and Lightning for a few words.
PLAIN, BASE_LOSS, SOFT = "CE", "base loss (", "soft labels"
D_SINK, TEACHERS, ADSA = "D-SINK", ("f_L alone", "f_N alone"), "ADSA"


@dataclass(frozen=True)
class Compared:
    """A method and its rivals.

    Attributes:
        method: Its title in the tables.
        against: Title of a rival -> methods of which the best at each setting is the rival.
    """

    method: str
    against: Mapping[str, Sequence[str]]


def reference_of(methods: Sequence[str]) -> str | None:
    """Title of the plain row, which all others are compared with; None where no row is one."""
    plain = [method for method in methods if method in (PLAIN, SOFT) or method.startswith(BASE_LOSS)]
    return plain[0] if len(plain) == 1 else PLAIN if PLAIN in plain else None


def compared_of(methods: Sequence[str]) -> Compared | None:
    """The pair that a report is about; None where there is none.

    D-SINK against the better of its teachers and the plain row, or ADSA against the soft labels as they are.
    """
    reference = reference_of(methods)
    if D_SINK in methods:
        teachers = tuple(teacher for teacher in TEACHERS if teacher in methods)
        title = "better teacher" if len(teachers) > 1 else "".join(teachers)
        against = {title: teachers} if teachers else {}
        against |= {reference: (reference,)} if reference is not None else {}
        return Compared(D_SINK, against) if against else None
    if ADSA in methods and reference is not None:
        return Compared(ADSA, {reference: (reference,)})
    return None
