"""Importing this takes longer than any test waits."""

import os
import time
from pathlib import Path

import job_entries
from patience import PATIENCE

if "IMPORTING" in os.environ:
    Path(os.environ["IMPORTING"]).touch()
    time.sleep(2 * PATIENCE)

tell = job_entries.tell
