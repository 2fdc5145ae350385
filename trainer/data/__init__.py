"""Labelled data: read, checked, split, balanced."""
