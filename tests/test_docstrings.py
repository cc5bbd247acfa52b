"""Every example in a docstring is run, each as a test.

pytest's own `--doctest-modules` imports each file anew and puts it into its package, where several files have the name of
the function in them: `lt_callbacks.adsa.calibrate` would then be a module for all tests that follow.
"""

import ast
import doctest
import importlib
from pathlib import Path

import pytest
import torch

PACKAGE = Path(__file__).resolve().parents[1] / "lt_callbacks"


def with_examples(node, name=""):
    """Dotted names of the classes and functions below ``node`` whose docstring has an example."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            own = f"{name}.{child.name}" if name else child.name
            if ">>> " in (ast.get_docstring(child) or ""):
                yield own
            yield from with_examples(child, own)


# Read from the text: only what has an example is imported, and only when its turn comes.
EXAMPLES = [
    (".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), name)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text()
    for name in with_examples(ast.parse(path.read_text()))
]

# What a reader looks up first.
ALWAYS = {
    *("DSink", "DSinkMixin", "DSinkCallback", "ADSACallback", "ProxyLabelMonitor", "ShotAccuracy", "train_teachers"),
    *("sinkhorn", "proxy_labels", "proxy_label_loss", "fit_tau", "TauEstimator", "calibrate"),
    *("build_manifest", "class_counts", "corrupt_labels", "hashed_uniform", "longtail_indices", "transition_matrix"),
}


@pytest.mark.parametrize(("module", "name"), EXAMPLES, ids=[f"{module}.{name}" for module, name in EXAMPLES])
def test_the_example_runs(module, name):
    found = {test.name: test for test in doctest.DocTestFinder().find(importlib.import_module(module))}
    example = found[f"{module}.{name}"]
    assert not any(doctest.SKIP in step.options for step in example.examples)
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        failed, attempted = runner.run(example, out=told.append)
    assert attempted > 0
    assert failed == 0, "".join(told)


def test_the_names_that_are_looked_up_first_have_an_example():
    assert {name for _, name in EXAMPLES} >= ALWAYS


def test_an_example_that_fails_is_seen():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner().run(wrong, out=lambda text: None) == (1, 1)
