"""Which files are read for examples in docstrings (`--doctest-modules`)."""

from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leaves files without an example unimported: some need a package that need not be there."""
    is_code = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_code and ">>>" not in collection_path.read_text(encoding="utf-8") else None
