"""Which shapes to run before the first event, so that no event pays for memory, kernels or engines."""

# Tokens of a short text, and of next to none.
SHORT = 16
SHORTEST = 4


def warm_shapes(max_rows: int, max_tokens: int, max_length: int, pad_multiple: int) -> list[tuple[int, int]]:
    """Shapes (rows, width) that span what the planner makes, largest first.

    The largest shape comes first, because it is the one that runs out of memory; the single shortest row
    comes last. Between them: the longest row, and as many rows of a short and a middling width as a batch
    holds. A runtime that keeps plans for shapes (`pad_multiple` above 1) gets a full batch of every power of
    two of the multiple as well.

    Args:
        max_rows: most rows of a batch.
        max_tokens: most padded tokens of a batch; a longer row still gets a batch of its own.
        max_length: most tokens of a row.
        pad_multiple: widths are rounded up to a multiple of it, up to `max_length`.
    """
    widths = {min(width, max_length) for width in (SHORT, max_length // 4, max_length) if width}
    if pad_multiple > 1:
        width = pad_multiple
        while width < max_length:
            widths.add(width)
            width *= 2
    padded = {min(max_length, -(-width // pad_multiple) * pad_multiple) for width in widths}
    full = {(max(1, min(max_rows, max_tokens // width)), width) for width in padded}
    shortest = (1, min(max_length, max(SHORTEST, pad_multiple)))
    return [*sorted(full - {shortest}, key=lambda shape: (-shape[0] * shape[1], -shape[1])), shortest]
