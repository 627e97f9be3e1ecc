"""Folders of weights: layouts, declarations, statistics, strict loading."""
