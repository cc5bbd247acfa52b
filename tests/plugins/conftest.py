from __future__ import annotations

import pytest
from rank_trouble import Ended, start_two_ranks


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory) -> list[Ended]:
    """Two ranks that went through all that is to be refused, one case after the other, until a teacher failed on one."""
    return start_two_ranks(tmp_path_factory.mktemp("ranks"), "everything", "teacher", "1")
