"""One self-contained page that shows what stored runs say: for colleagues, without a network."""

from lossnets.report.build import TITLE, build_report

__all__ = ["TITLE", "build_report"]
