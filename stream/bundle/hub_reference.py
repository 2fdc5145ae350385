"""References to repositories of the Hugging Face Hub, hf://OWNER/NAME@REVISION."""

import re
from dataclasses import dataclass

from stream.errors import UsageError

PREFIX = "hf://"
DEFAULT_REVISION = "main"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
REVISION = re.compile(r"[^\s\x00-\x1f\x7f~^:?*\[\\]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
MAX_REPOSITORY_CHARS = 96
KINDS = ("datasets", "spaces", "models", "buckets")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository of the Hub and one of its revisions: a branch, a tag or a commit."""

    repository: str
    revision: str = DEFAULT_REVISION

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}@{self.revision}"


def parse_hub_reference(text: str) -> HubReference:
    """Return the parts of hf://OWNER/NAME@REVISION; without a revision the branch main.

    Raises:
        UsageError: the text is no such reference.
    """
    repository, at, revision = text.removeprefix(PREFIX).partition("@")
    kind = repository.split("/", 1)[0]
    cause = ""
    if kind in KINDS and repository.count("/") > 1:
        cause = f"{kind}/ names a kind of repository; a bundle is in a repository of models, without a prefix"
    elif not check_repository(repository):
        cause = f"{repository[:200]!a} is not OWNER/NAME"
    elif at and (not REVISION.fullmatch(revision) or ".." in revision or revision.startswith("/")):
        cause = f"{revision[:200]!a} is not a branch, a tag or a commit"
    if cause:
        raise UsageError(
            f"{text[:200]!a} is not a bundle on the Hub",
            cause=cause,
            fix="write hf://OWNER/NAME, or hf://OWNER/NAME@REVISION with a branch, a tag or a commit",
        )
    return HubReference(repository, revision or DEFAULT_REVISION)


def check_repository(name: str) -> bool:
    """Return True if a text can be the name of a repository, OWNER/NAME."""
    last = name.rsplit("/", 1)[-1]
    return (
        bool(REPOSITORY.fullmatch(name))
        and len(name) <= MAX_REPOSITORY_CHARS
        and "--" not in name
        and ".." not in name
        and not last.endswith((".git", ".", "-"))
    )
