"""The procedure of `labelstream augment`: requests, checks of the answers, and the file of new rows."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from stream.termination import until_terminated
from stream.wording import count_of
from trainer.augment.answers import InvalidAnswerError, parse_answer
from trainer.augment.endpoint import Answer, ChatEndpoint, EndpointOptions, RequestLimitError, Usage
from trainer.augment.novelty import Novelty
from trainer.augment.output import (
    LABEL,
    MODEL,
    PROMPT,
    REQUEST,
    SOURCE_ROWS,
    TIME,
    AugmentedFile,
    Layout,
)
from trainer.augment.plan import Amount, Goal, plan_goals
from trainer.augment.prompt import Prompt
from trainer.data.examples import Data, Example, Splits

LABELS_SHOWN = 10
MAX_FRUITLESS = 5
"""The answers without a new row after which a label is given up."""


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """How rows are requested.

    Attributes:
        amount: the number of rows.
        examples: the training rows in each prompt.
        rows_per_request: the most rows that one request asks for.
        concurrency: the most requests at the same time.
        seed: the seed of the choice of examples.
    """

    amount: Amount
    examples: int = 5
    rows_per_request: int = 5
    concurrency: int = 4
    seed: int = 42


@dataclass(slots=True)
class Outcome:
    """The result of a run.

    Attributes:
        written: the new rows.
        usage: the requests and their tokens.
        refused: the duplicates that were left out, by the rows that they repeat.
        invalid: the answers that were no valid JSON object, by cause.
        unmet: the rows that are missing, by label.
        limit_reached: whether the run ended because of the limit of requests.
    """

    written: int = 0
    usage: Usage = field(default_factory=Usage)
    refused: dict[str, int] = field(default_factory=dict)
    invalid: dict[str, int] = field(default_factory=dict)
    unmet: dict[str, int] = field(default_factory=dict)
    limit_reached: bool = False

    def lines(self, names: Mapping[str, str]) -> list[str]:
        """Return the result as lines for the console.

        Args:
            names: the text that stands for each label of `unmet`.
        """
        usage = self.usage
        tokens = f"{usage.prompt_tokens:,} prompt tokens, {usage.completion_tokens:,} completion tokens"
        found = [
            f"{count_of(self.written, 'new row')} from {count_of(usage.requests, 'request')} "
            f"(retries: {usage.retries:,}), {tokens}",
            *(
                f"left out: {count_of(count, 'duplicate')} of {origin} rows"
                for origin, count in self.refused.items()
            ),
            *(f"invalid answers: {count:,} ({cause})" for cause, count in self.invalid.items()),
        ]
        if self.limit_reached:
            found.append("stopped at the limit of requests: run the same command again for the missing rows")
        if self.unmet:
            shown = [f"{names[label]} {count}" for label, count in self.unmet.items()]
            rest = len(shown) - LABELS_SHOWN
            more = f" and {count_of(rest, 'more label')}" if rest > 0 else ""
            found.append(f"missing rows: {', '.join(shown[:LABELS_SHOWN])}{more}")
        return found


class Augmenter:
    """Writes rows for the labels that need them."""

    def __init__(
        self, data: Data, splits: Splits, layout: Layout, output: Path, options: AugmentOptions
    ) -> None:
        """
        Args:
            data: the labelled data.
            splits: its splits; only training rows are sent to the endpoint.
            layout: the columns of the output.
            output: the file of the rows, which is continued if it exists.
            options: how rows are requested.

        Raises:
            UsageError: the file is not the output of an earlier run, or a requested label does not exist.
        """
        self._data = data
        self._layout = layout
        self._options = options
        self._file = AugmentedFile(output, layout)
        self.earlier = len(self._file.rows)
        self.goals = plan_goals(splits.train, data.labels, options.amount, self._file.counts)
        self._novelty = Novelty(splits, map(layout.text_of, self._file.rows)) if self.goals else None
        self._random = random.Random(f"{options.seed} {self.earlier}")
        self.outcome = Outcome()

    @property
    def missing(self) -> int:
        """The number of rows to write."""
        return sum(goal.missing for goal in self.goals)

    def run(
        self,
        prompt: Prompt,
        options: EndpointOptions,
        advance: Callable[[int], None],
    ) -> Outcome:
        """Request rows until all labels have enough; an error or an interruption keeps the new rows.

        Args:
            prompt: the template of the prompts.
            options: the endpoint.
            advance: a function that takes the number of new rows.

        Raises:
            EndpointError: the endpoint fails repeatedly.
            UsageError: the endpoint refuses a request, or the file cannot be written.
        """
        # The file must be writable before the first request costs anything.
        self._file.check_writable()
        try:
            with asyncio.Runner() as runner:
                runner.run(
                    until_terminated(self._request_all(ChatEndpoint(options), prompt, options.model, advance))
                )
        finally:
            self._file.save()
            self.outcome.unmet = {goal.label: goal.missing for goal in self.goals if goal.missing > 0}
            if self._novelty is not None:
                self.outcome.refused = dict(self._novelty.refused)
        return self.outcome

    async def _request_all(
        self, endpoint: ChatEndpoint, prompt: Prompt, model: str, advance: Callable[[int], None]
    ) -> None:
        self.outcome.usage = endpoint.usage

        async def work() -> None:
            while (goal := self._next_goal()) is not None:
                advance(await self._request(endpoint, prompt, model, goal))

        async with endpoint:
            workers = [asyncio.create_task(work()) for _ in range(self._options.concurrency)]
            try:
                await asyncio.gather(*workers)
            except RequestLimitError:
                self.outcome.limit_reached = True
                # The requests that are already sent cost the same with or without their rows.
                await asyncio.gather(*workers, return_exceptions=True)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _next_goal(self) -> Goal | None:
        goals = [goal for goal in self.goals if goal.open > 0 and goal.fruitless < MAX_FRUITLESS]
        return max(goals, key=lambda goal: goal.open, default=None)

    async def _request(self, endpoint: ChatEndpoint, prompt: Prompt, model: str, goal: Goal) -> int:
        """Request rows of a label once, and return the number of new ones."""
        shown = self._random.sample(goal.examples, min(self._options.examples, len(goal.examples)))
        count = min(goal.open, self._options.rows_per_request)
        text = prompt.render(shown[0].labels, self._data.labels, count, shown)
        goal.requested += count
        try:
            answer = await endpoint.ask(text)
            written = self._add(answer, goal, shown, {MODEL: model, PROMPT: prompt.digest})
        except InvalidAnswerError as exc:
            self.outcome.invalid[str(exc)] = self.outcome.invalid.get(str(exc), 0) + 1
            written = 0
        finally:
            goal.requested -= count
        goal.fruitless = 0 if written else goal.fruitless + 1
        return written

    def _add(self, answer: Answer, goal: Goal, shown: list[Example], made_by: dict[str, str]) -> int:
        rows = parse_answer(answer.content, pair=self._layout.columns.text_pair is not None)
        assert self._novelty is not None, "there is a goal"
        written = 0
        for row in rows:
            if goal.missing == 0 or not self._novelty.accept(row):
                continue
            cells = self._layout.cells(row, shown[0])
            cells |= {LABEL: goal.label, **made_by, REQUEST: answer.request_id}
            cells[SOURCE_ROWS] = ",".join(str(example.row) for example in shown)
            cells[TIME] = datetime.now(UTC).isoformat(timespec="seconds")
            self._file.add(cells)
            goal.missing -= 1
            written += 1
        self.outcome.written += written
        return written
