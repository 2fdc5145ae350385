"""The benchmarks' report: what is measured again replaces itself and nothing else."""

from benchmarks.speed.report import Section, Table, at_least, at_most, merge, missing

ORDER = ["first", "second", "third"]


def test_a_new_document_holds_its_sections_in_order() -> None:
    text = merge("", {"second": "## Two"}, ORDER)
    text = merge(text, {"third": "## Three", "first": "## One"}, ORDER)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Benchmarks",
        "## One",
        "## Two",
        "## Three",
    ]
    assert missing(text, ORDER) == []


def test_a_partial_run_leaves_all_else_as_it_stands() -> None:
    before = merge("# Mine\n\nBy hand.\n", {"first": "old", "second": "kept"}, ORDER) + "\nAlso by hand.\n"
    after = merge(before, {"first": "new"}, ORDER)
    assert after == before.replace("old", "new")
    assert missing(after, ORDER) == ["third"]


def test_merging_the_same_again_changes_nothing() -> None:
    once = merge("# Mine\n", {"first": "text | with \\1 and $ signs"}, ORDER)
    assert merge(once, {"first": "text | with \\1 and $ signs"}, ORDER) == once


def test_a_section_shows_tables_targets_and_notes() -> None:
    section = Section("Title", "Method.", [Table("caption", ["way", "rate"], [["a|b", "1"]])])
    section.checks = [at_most("cost", 5, 6, " µs"), at_least("rate", 5, 6)]
    section.notes = ["a note"]
    text = section.markdown("provenance")
    assert "| a\\|b | 1 |" in text
    assert "| cost | ≤ 6 µs | 5.00 µs | yes |" in text
    assert "| rate | ≥ 6 | 5.00 | **no** |" in text
    assert text.index("Method.") < text.index("caption") < text.index("- a note") < text.index("provenance")
