"""The report as one self-contained HTML page."""

from overrefusal.reports.html.page import write_html

__all__ = ["write_html"]
