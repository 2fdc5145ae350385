"""The notebooks run from top to bottom with a tiny base model, and so does the example of docs/stages.md."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
import yaml
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from stream.sample import sample_path
from tests.real.tiny_bundle import save_tiny_base

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
BEFORE_TRAINING, TRAINING, AFTER_TRAINING = NOTEBOOKS[:2], NOTEBOOKS[2], NOTEBOOKS[3:]


def ids(path: Path) -> str:
    return path.stem


def run(notebook: Path, folder: Path, parameters: str = "") -> list[Any]:
    """Execute a notebook in a folder, and return its cells; an error in a cell raises."""
    book = nbformat.read(notebook, nbformat.NO_CONVERT)
    (cell,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source += "\n" + parameters
    NotebookClient(book, timeout=200, resources={"metadata": {"path": str(folder)}}).execute()
    return list(book.cells)


def printed(cells: list[Any]) -> str:
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    save_tiny_base(folder / "base")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """Run the notebook that trains, and return the folder with its bundle and its results."""
    # Half of the sample, because the parity check alone takes a row at a time.
    pd.read_csv(sample_path(), keep_default_na=False)[::2].to_csv(folder / "half.csv", index=False)
    cells = run(TRAINING, folder, "DATA, BASE_MODEL, EPOCHS = 'half.csv', 'base', 1")
    (training,) = [cell for cell in cells if "quiet=True" in cell.source]
    assert [output.output_type for output in training.outputs] == ["stream"], "no progress bar"
    return folder


def test_there_are_five_notebooks_in_order() -> None:
    assert [path.stem[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=ids)
def test_a_notebook_is_stored_with_its_outputs(notebook: Path) -> None:
    book = nbformat.read(notebook, nbformat.NO_CONVERT)
    assert not list(nbformat.validator.iter_validate(book))
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), (
        "run from top to bottom"
    )
    outputs = [output for cell in cells for output in cell.outputs]
    assert len(outputs) >= 4
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert not re.search(r"/(home|root|tmp|work/\w+/)", json.dumps(outputs)), (
        "no path of the author's machine"
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=ids)
def test_the_links_of_a_notebook_lead_to_files(notebook: Path) -> None:
    book = nbformat.read(notebook, nbformat.NO_CONVERT)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if not target.startswith("work/")]
    assert targets
    assert [target for target in targets if not (notebook.parent / target).exists()] == []


@pytest.mark.parametrize("notebook", BEFORE_TRAINING, ids=ids)
def test_a_notebook_about_the_data_runs(notebook: Path, folder: Path) -> None:
    assert printed(run(notebook, folder))


def test_the_notebook_that_trains_makes_a_bundle(trained: Path) -> None:
    assert (trained / "work" / "bundles" / "support" / "1" / "labelstream.json").is_file()


@pytest.mark.parametrize("notebook", AFTER_TRAINING, ids=ids)
def test_a_notebook_about_the_bundle_runs(notebook: Path, trained: Path) -> None:
    text = printed(run(notebook, trained))
    results = trained / "work" / "results" / "support" / "1"
    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    if notebook.stem.startswith("05"):
        (right, rows) = map(int, re.findall(r"(\d+) of (\d+) labels are right", text)[0])
        assert rows == 48
        # The int8 graph rounds by the batch, and the batches of the worker are not those of the evaluation.
        assert right / rows == pytest.approx(metrics["accuracy"], abs=0.1)
        assert "decode" in text, "the dead letter and its reason"
        assert "exit code 0" in text
    else:
        assert f"{metrics['accuracy']:.4f}"[:5] in text


def test_the_example_of_the_stages_holds(trained: Path) -> None:
    page = (PROJECT / "docs" / "stages.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    # A process of its own: the store is the folder bundles of the working directory.
    subprocess.run([sys.executable, "-c", example], cwd=trained / "work", check=True)


def test_the_environment_file_installs_what_the_notebooks_need() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))
    *packages, pip = environment["dependencies"]
    constraints, project = pip["pip"]
    assert constraints == "-c constraints.txt"
    extras = re.fullmatch(r"-e \.\[(.*)\]", project)[1].split(",")  # type: ignore[index]
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(settings["optional-dependencies"])
    (python,) = [package.removeprefix("python=") for package in packages if package.startswith("python=")]
    assert SpecifierSet(settings["requires-python"]).contains(python)
    needed = {
        name
        for notebook in NOTEBOOKS
        for name in re.findall(r"^(?:from|import) (\w+)", sources(notebook), re.M)
    }
    installed = [
        Requirement(line).name for extra in extras for line in settings["optional-dependencies"][extra]
    ]
    indirect = {"pandas", "IPython", "stream", "trainer"}  # of datasets, of ipykernel, the project
    ours = {"sklearn": "scikit-learn"}
    assert needed - indirect - sys.stdlib_module_names <= {
        *installed,
        *(k for k in ours if ours[k] in installed),
    }


def sources(notebook: Path) -> str:
    book = nbformat.read(notebook, nbformat.NO_CONVERT)
    return "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
