"""Rows and figures as a reader gets them: tables in Markdown, CSV and on the terminal, reports in Markdown and HTML."""
