"""The console of a run, and the silence of the libraries."""

import pytest

from trainer.progress import no_output, open_console


def test_a_console_prints_while_the_output_of_libraries_is_suppressed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = open_console()
    with no_output():
        print("from a library")
        console.print("from the run")
    assert capsys.readouterr() == ("from the run\n", "")


def test_a_quiet_console_draws_no_widgets_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert open_console().is_jupyter
    assert not open_console(quiet=True).is_jupyter
