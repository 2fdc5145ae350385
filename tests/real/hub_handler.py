"""The requests of the stand-in of the Hub."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from tests.real.hub import LFS_BYTES, USERS, HubState, Repository

LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "other", "bsd-3-clause", "gpl-3.0"}
LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
MODEL_API = r"/api/models/((?:[^/]+/)?[^/]+)"


class Refused(Exception):
    """An answer with an error code of the Hub."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class HubHandler(BaseHTTPRequestHandler):
    """One request; `state` is set by the server."""

    protocol_version = "HTTP/1.1"
    state: HubState

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.url = urlsplit(self.path)
        with self.state.lock:
            self.state.requests.append((self.command, self.path, self.headers.get("Range") or ""))
        try:
            self._check_up()
            self._route(unquote(self.url.path))
        except Refused as refused:
            self._send(
                refused.status,
                json.dumps({"error": refused.message or refused.code}).encode(),
                {"X-Error-Code": refused.code, "X-Error-Message": refused.message or refused.code},
            )

    def _route(self, path: str) -> None:
        raw = self.url.path
        if path == "/api/whoami-v2":
            self._json({"name": self._user(), "type": "user", "orgs": [], "auth": {"type": "access_token"}})
        elif path == "/api/repos/create":
            self._create()
        elif path == "/api/validate-yaml":
            self._validate()
        elif match := re.fullmatch(r"/((?:[^/]+/)?[^/]+)\.git/info/lfs/objects/batch", path):
            self._batch(match[1])
        elif match := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            self._lfs(match[1])
        elif match := re.fullmatch(MODEL_API + r"/preupload/([^/]+)", raw):
            self._preupload(match[1], unquote(match[2]))
        elif match := re.fullmatch(MODEL_API + r"/commit/([^/]+)", raw):
            self._commit(match[1], unquote(match[2]))
        elif match := re.fullmatch(MODEL_API + r"/branch/([^/]+)", raw):
            self._branch(match[1], unquote(match[2]))
        elif match := re.fullmatch(MODEL_API + r"/tree/([^/]+)(?:/(.*))?", raw):
            self._tree(match[1], unquote(match[2]), unquote(match[3] or ""))
        elif match := re.fullmatch(MODEL_API + r"/refs", raw):
            self._refs(match[1])
        elif match := re.fullmatch(MODEL_API + r"/revision/([^/]+)", raw):
            self._info(match[1], unquote(match[2]))
        elif match := re.fullmatch(MODEL_API, raw):
            self._info(match[1], "main")
        elif match := re.fullmatch(r"/((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)", raw):
            self._resolve(match[1], unquote(match[2]), unquote(match[3]))
        else:
            raise Refused(404, "EntryNotFound")

    def _check_up(self) -> None:
        if self.state.down:
            raise Refused(503, message="the Hub is down")

    def _user(self) -> str:
        user = USERS.get(self._token())
        if user is None:
            raise Refused(401, message="Invalid username or password.")
        return user

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _repository(self, name: str) -> Repository:
        found = self.state.repositories.get(name)
        user = USERS.get(self._token())
        is_owner = user == name.split("/")[0]
        if found is None or (found.private and not is_owner):
            # The Hub does not say whether a private repository exists.
            raise Refused(404 if user else 401, "RepoNotFound", "Repository not found")
        if found.gated and not is_owner and "/resolve/" in self.path:
            raise Refused(403 if user else 401, "GatedRepo", "Access to this repository is restricted")
        return found

    def _writable(self, name: str) -> Repository:
        repository = self._repository(name)
        if self._user() != name.split("/")[0]:
            raise Refused(403, message="You don't have the rights to push to this repository")
        return repository

    def _files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repository = self._repository(name)
        commit = repository.find(revision)
        if commit is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repository.commits[commit]

    def _create(self) -> None:
        wanted = json.loads(self.body)
        user = self._user()
        owner = wanted.get("organization") or user
        name = f"{owner}/{wanted['name']}"
        url = f"{self._base}/{name}"
        if owner != user:
            raise Refused(403, message=f"You don't have the rights to create a model under {owner}")
        if name in self.state.repositories:
            self._send(409, json.dumps({"error": "You already created this model repo", "url": url}).encode())
            return
        self.state.add(
            name,
            {".gitattributes": b""},
            private=wanted.get("visibility") == "private" or wanted.get("private", False),
        )
        self._json({"url": url, "name": name, "id": "1"})

    def _validate(self) -> None:
        content = json.loads(self.body)["content"]
        match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        card = yaml.safe_load(match[1]) if match else {}
        errors = card_errors(card)
        self._send(400 if errors else 200, json.dumps({"errors": errors, "warnings": []}).encode())

    def _batch(self, name: str) -> None:
        self._writable(name)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            action = {"upload": {"href": f"{self._base}/lfs/{wanted['oid']}", "header": {}}}
            known = wanted["oid"] in self.state.lfs
            objects.append({**wanted, **({} if known else {"actions": action})})
        self._json({"transfer": "basic", "objects": objects})

    def _lfs(self, oid: str) -> None:
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != oid:
                raise Refused(400, message="the content does not match its oid")
            self.state.lfs[oid] = self.body
            self._send(200)
        else:
            self._content(self.state.lfs[oid], {"ETag": f'"{oid}"'}, cut=oid)

    def _preupload(self, name: str, revision: str) -> None:
        self._writable(name)
        files = [
            {
                "path": wanted["path"],
                "uploadMode": "lfs" if wanted["size"] >= LFS_BYTES else "regular",
                "shouldIgnore": False,
            }
            for wanted in json.loads(self.body)["files"]
        ]
        self._json({"files": files})

    def _commit(self, name: str, branch: str) -> None:
        repository = self._writable(name)
        before = repository.find(branch)
        if before is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        files, message = dict(repository.commits[before]), ""
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.state.lfs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(branch, files, message)
        self._json(
            {"commitUrl": f"{self._base}/{name}/commit/{commit}", "commitOid": commit, "hookOutput": ""}
        )

    def _branch(self, name: str, branch: str) -> None:
        repository = self._writable(name)
        if branch in repository.branches:
            raise Refused(409, message="Reference already exists")
        repository.branches[branch] = repository.branches["main"]
        self._json({})

    def _tree(self, name: str, revision: str, folder: str) -> None:
        _, files = self._files(name, revision)
        found = [path for path in files if not folder or path.startswith(f"{folder}/")]
        if folder and not found:
            raise Refused(404, "EntryNotFound")
        rows = [
            {"type": "file", "path": path, "size": len(files[path]), "oid": blob_id(files[path])}
            for path in found
        ]
        self._json(rows)

    def _refs(self, name: str) -> None:
        branches = [
            {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commit}
            for branch, commit in self._repository(name).branches.items()
        ]
        self._json({"branches": branches, "converts": [], "tags": []})

    def _info(self, name: str, revision: str) -> None:
        commit, files = self._files(name, revision)
        siblings = [{"rfilename": path} for path in files]
        private = self.state.repositories[name].private
        self._json(
            {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [], "private": private}
        )

    def _resolve(self, name: str, revision: str, path: str) -> None:
        commit, files = self._files(name, revision)
        if path not in files:
            raise Refused(404, "EntryNotFound", f"no file {path}")
        content = files[path]
        headers = {"X-Repo-Commit": commit}
        if len(content) < LFS_BYTES:
            self._content(content, {**headers, "ETag": f'"{blob_id(content)}"'}, cut=path)
            return
        oid = hashlib.sha256(content).hexdigest()
        self.state.lfs.setdefault(oid, content)
        headers |= {
            "X-Linked-Etag": f'"{oid}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self._base}/lfs/{oid}",
        }
        self._send(302, headers=headers)

    def _content(self, content: bytes, headers: dict[str, str], cut: str) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        with self.state.lock:
            cuts = self.state.cuts.get(cut)
            size = cuts.pop(0) if cuts and self.command == "GET" else None
        if cut in self.state.stalled and self.command == "GET":
            self._headers(206 if asked else 200, len(content) - start, headers)
            self.wfile.flush()
            self.state.resume.wait()
            self.close_connection = True
            return
        if size is not None:
            self._headers(206 if asked else 200, len(content) - start, headers)
            self.wfile.write(content[start : start + size])
            self.wfile.flush()
            self.close_connection = True
            return
        self._send(206 if asked else 200, content[start:], headers)

    @property
    def _base(self) -> str:
        return f"http://{self.headers['Host']}"

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _headers(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self._headers(status, len(content), headers or {})
        if self.command != "HEAD":
            self.wfile.write(content)


def blob_id(content: bytes) -> str:
    """Return the Git object id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def card_errors(card: dict[str, Any]) -> list[dict[str, str]]:
    """Return what the Hub refuses in the metadata of a card, from the rules that it documents."""
    errors = []
    if "license" in card and card["license"] not in LICENSES:
        errors.append(f'"license" must be one of {sorted(LICENSES)}')
    languages = card.get("language", [])
    errors += [
        f'"language[]" {language!r} must be an ISO 639 code'
        for language in ([languages] if isinstance(languages, str) else languages)
        if not isinstance(language, str) or not LANGUAGE.fullmatch(language)
    ]
    errors += [
        '"model-index" is malformed'
        for model in card.get("model-index", [])
        for result in model["results"]
        if not result["task"].get("type") or not result["dataset"].get("type") or not result["metrics"]
    ]
    return [{"message": error} for error in errors]
