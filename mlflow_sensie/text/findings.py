"""What a finding is: a sentence, what it is about, and what it means for the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["bad", "good", "open", "failed"]


@dataclass(frozen=True)
class Finding:
    """A sentence about a test or slice (``name``), and whether it is bad news, good news, open, or a failure."""

    name: str
    text: str
    tone: Tone
