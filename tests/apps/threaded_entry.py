"""Importing this starts a thread, which a copy of the process would lack."""

import threading
import time

import job_entries
from patience import PATIENCE

threading.Thread(target=lambda: time.sleep(2 * PATIENCE), daemon=True).start()

tell = job_entries.tell
