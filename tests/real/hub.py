"""A stand-in of the Hugging Face Hub: its HTTP API over real sockets, for the Hub's own client.

    with HubServer() as hub:
        subprocess.run([...], env=hub.environment(home, token=OWNER))

It answers what huggingface_hub and transformers ask: whoami, creation of repositories and branches,
validation of cards, preupload, LFS batch and upload, commits, model info, tree, refs, and resolve with ETag,
commit and redirect. Contents stay in memory.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Self

OWNER, READER = "hf_owner", "hf_reader"
"""Tokens: the user `owner`, who owns the repositories owner/*, and the user `reader`, who owns none."""

USERS = {OWNER: "owner", READER: "reader"}
LFS_BYTES = 10_000
"""Files from this size on are stored with LFS, smaller ones in commits."""


@dataclass
class Repository:
    """A repository: its commits, each a mapping of paths to contents, and the branches."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: Mapping[str, bytes], message: str) -> str:
        """Add a commit to a branch and return its hash."""
        content = json.dumps([len(self.commits), message, sorted(files)]).encode()
        commit = hashlib.sha1(content).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        self.messages.append(message)
        return commit

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch or a commit, None if there is none."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass
class HubState:
    """Everything that the stand-in holds, for assertions and for faults.

    Attributes:
        requests: method, path and Range header of every request.
        cuts: the bytes after which each of the next downloads of a path, or of an LFS object, ends early.
        down: True if every request is answered with 503.
        stalled: the paths and LFS objects whose content is not sent before `resume` is set.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    down: bool = False
    stalled: set[str] = field(default_factory=set)
    resume: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self, name: str, files: Mapping[str, bytes] | None = None, private: bool = False, gated: bool = False
    ) -> Repository:
        """Create a repository with one commit."""
        repository = Repository(private, gated)
        repository.commit("main", files or {}, "initial commit")
        self.repositories[name] = repository
        return repository

    def downloads(self) -> list[str]:
        """Return the names of the files whose content was requested, in order."""
        names = {
            hashlib.sha256(content).hexdigest(): path
            for repository in self.repositories.values()
            for files in repository.commits.values()
            for path, content in files.items()
        }
        matches = [
            re.search(r"/(?:resolve/[^/]+|lfs)/([^?]+)", path)
            for method, path, _ in self.requests
            if method == "GET"
        ]
        return [names.get(match[1], match[1]) for match in matches if match]


class HubServer:
    """The stand-in on a free port of the loopback interface."""

    def __init__(self) -> None:
        from tests.real.hub_handler import HubHandler

        self.state = HubState()
        handler = type("Handler", (HubHandler,), {"state": self.state})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.state.resume.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Return the environment of a process whose Hub is the stand-in, with empty caches in a folder."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LABELSTREAM_"))
        }
        kept |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "LABELSTREAM_BUNDLE_CACHE": str(home / "bundles"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # A training in the process of the tests may have switched it on.
            "HF_HUB_OFFLINE": "0",
            "COLUMNS": "200",
        }
        return kept | ({"HF_TOKEN": token} if token else {})
