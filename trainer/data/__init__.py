"""Labelled data: reading, checks, splits and class balance."""
