"""The official parser of AsyncAPI documents, from npm, in a folder of its own that is kept in ~/.cache."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.real.components import MissingComponentError, Notify

PACKAGE, VERSION = "@asyncapi/parser", "3.6.6"
INSTALL_S, PARSE_S = 600, 120
PROGRAM = """
import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'fs';
const found = [];
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  found.push({ file, valid: document !== undefined, diagnostics });
}
console.log(JSON.stringify(found));
"""
ERROR = 0


class AsyncapiParser:
    """The parser, run by Node.js."""

    origin, version = "npm, run by Node.js", VERSION

    def __init__(self, notify: Notify) -> None:
        """Install the parser if it is missing.

        Raises:
            MissingComponentError: Node.js or npm is missing, or the package cannot be installed.
        """
        if not (shutil.which("node") and shutil.which("npm")):
            raise MissingComponentError("node and npm are not on the PATH")
        cache = Path.home() / ".cache" / "labelstream-tests"
        cache.mkdir(parents=True, exist_ok=True)
        self._folder = cache / f"asyncapi-parser-{VERSION}"
        complete = self._folder / "complete"
        with (cache / "asyncapi-parser.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if complete.exists():
                return
            notify(f"installing {PACKAGE} {VERSION} into {self._folder}")
            self._folder.mkdir(exist_ok=True)
            (self._folder / "package.json").write_text('{"private": true}')
            (self._folder / "parse.mjs").write_text(PROGRAM)
            words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
            done = subprocess.run(
                words, cwd=self._folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
            )
            if done.returncode:
                raise MissingComponentError(f"npm install failed: {done.stderr.strip()[-300:]}")
            complete.touch()

    def start(self) -> None:
        """Do nothing: each call runs a process."""

    def revive(self) -> None:
        """Do nothing: there is no process."""

    def close(self) -> None:
        """Do nothing: there is no process."""

    def errors(self, *files: Path) -> dict[str, list[Any]]:
        """Return the errors of each document by file, nothing for a valid one."""
        words = ["node", "parse.mjs", *map(str, files)]
        done = subprocess.run(
            words, cwd=self._folder, capture_output=True, text=True, timeout=PARSE_S, check=True
        )
        return {
            document["file"]: [d for d in document["diagnostics"] if d["severity"] == ERROR]
            or ([] if document["valid"] else ["no document"])
            for document in json.loads(done.stdout)
        }
