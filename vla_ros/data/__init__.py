"""Recordings, demonstrations and datasets."""
