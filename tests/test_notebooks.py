"""Every notebook runs from top to bottom, offline, and is stored with the outputs of one run, of no machine."""

import gc
import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from small_form import small_form

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PLACES = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|usr|opt|var|Users|private)/|[A-Z]:\\\\")
"""A path of the machine that it ran on."""

pytestmark = [
    pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.slow
def test_runs_without_error(path, tmp_path, monkeypatch):
    folders = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "MPLCONFIGDIR": "matplotlib"}
    for variable, folder in folders.items():
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # No folder of kernels: "python3" can then only be the interpreter that runs this test.
    kernel = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    work = tmp_path / "work"
    work.mkdir()
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = small_form(cell.source)
    NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": work}}).execute(cleanup_kc=True)
    gc.collect()  # Sockets that jupyter_client leaves open warn when they go; let that be here and not in a later test.


def test_is_valid_and_stored_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell.id for cell in notebook.cells)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # Of one whole run from a fresh kernel; a warning would bring in a path of the machine that it ran on.
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    told = [output.get("data", {}) | {"text": output.get("text", "")} for output in outputs]
    words = [str(each) for data in told for kind, each in data.items() if not kind.startswith("image/")]
    assert not [text for text in words if PLACES.search(text)]
