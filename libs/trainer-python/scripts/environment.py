"""Makes a virtual environment with this package and what its tests train with, once, and prints its interpreter.

With `torch` as an argument PyTorch is in it, too: a large download.
"""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

package = Path(__file__).resolve().parent.parent
folder = package.parent.parent / ".backing" / "trainer-python"
python = folder / "bin" / "python"
stamp = folder / "installed"

requirements = (package / "scripts" / "requirements.txt").read_text()
with_torch = "torch" in sys.argv[1:]


def run(*words: str) -> None:
    # What pip says is for a person; the interpreter's path is all that goes to standard output.
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *words], check=True, stdout=sys.stderr)


folder.parent.mkdir(parents=True, exist_ok=True)
with open(folder.parent / "trainer-python.lock", "w") as lock:
    # Tests of several projects may come at once.
    fcntl.flock(lock, fcntl.LOCK_EX)
    wanted = hashlib.sha256(requirements.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        run("-r", str(package / "scripts" / "requirements.txt"))
        run("--no-deps", "--no-build-isolation", "--editable", str(package))
        stamp.write_text(wanted)
    if with_torch and subprocess.run([str(python), "-c", "import torch"], stderr=subprocess.DEVNULL).returncode != 0:
        run("torch==2.15.0")
print(python)
