"""The batch path through Faust: whole record batches in, offset ranges acknowledged, batches out."""
