"""Labelling of texts and files for `labelstream predict`: reading, chunks, writing, continued runs, Ray."""
