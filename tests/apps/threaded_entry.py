"""Importing this starts a thread, which a copy of the process would lack."""

import threading
import time

import job_entries

threading.Thread(target=lambda: time.sleep(60), daemon=True).start()

tell = job_entries.tell
