"""The head that sentence-embedding models want: the mean of the token vectors, then one linear layer."""

import json
from pathlib import Path
from typing import Any

from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import cached_file


class MeanPooledClassifier(nn.Module):  # type: ignore[misc] # torch is not followed
    """An encoder whose token vectors are averaged and classified.

    The usual classification heads look at the first token alone, which a model that was trained on averages
    has not learnt to use: on small data that costs several points of accuracy.
    """

    def __init__(self, encoder: Any) -> None:
        """Put a new head on an encoder; its configuration says how many labels there are."""
        super().__init__()
        self.config = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.1))
        self.classifier = nn.Linear(encoder.config.hidden_size, encoder.config.num_labels)

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return self.classifier.weight.device

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any = None,
        labels: Any = None,
    ) -> SequenceClassifierOutput:
        """Logits, float32 [rows, labels], for int64 [rows, tokens]; the loss too, with labels."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.classifier(self.dropout(mean))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def has_mean_pooling(source: str, local: bool) -> bool:
    """Whether a base model says, in sentence-transformers' own file, that its token vectors are averaged."""
    found = cached_file(
        source,
        "1_Pooling/config.json",
        local_files_only=local,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return bool(found) and bool(json.loads(Path(found).read_text()).get("pooling_mode_mean_tokens"))
