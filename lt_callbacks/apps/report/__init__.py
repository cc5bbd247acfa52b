"""The command `lt-report`: results of finished runs compared in tables, figures and one HTML page."""
