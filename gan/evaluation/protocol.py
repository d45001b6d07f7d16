"""A number and what it is a number of. Two numbers may stand in one column only where their protocols agree."""

import dataclasses
from dataclasses import dataclass
from typing import Any

FORMAT = "shhq-hs evaluation 2"


@dataclass(frozen=True)
class Protocol:
    """What a distance depends on besides the generator. Hashes are sha256; `view` is portrait ('full') or face."""

    metric: str
    view: str
    px: int
    n_real: int
    n_fake: int
    resize: str
    flips: str
    seed: int
    psi: float
    real_sha256: str
    weights: str
    weights_sha256: str
    subsets: int = 0  # of kernel distances
    subset_size: int = 0

    def differences(self, other: "Protocol") -> list[str]:
        """Return the names of the fields that differ: none may, for two numbers to be compared.

        Weights count by their hash: one file goes by several names.
        """
        names = [field.name for field in dataclasses.fields(self) if field.name != "weights"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def line(self) -> str:
        """Say everything in one line."""
        parts = [
            f"{self.n_real:,} real, {self.n_fake:,} fake", f"{self.px} px", f"resize: {self.resize}",
            f"flips: {self.flips}", f"seed {self.seed}", f"psi {self.psi:g}", f"real set {self.real_sha256[:12]}",
            f"weights {self.weights} {self.weights_sha256[:12]}",
        ]  # fmt: skip
        if self.subsets:
            parts.append(f"{self.subsets} subsets of {self.subset_size:,}")
        return " · ".join(parts)


@dataclass(frozen=True)
class Measurement:
    """A distance; `of` says of what: the generator, or something to hold it against."""

    of: str
    value: float
    protocol: Protocol
    std: float | None = None  # between subsets, for kernel distances


def measurement_from_json(content: dict[str, Any]) -> Measurement:
    return Measurement(**(content | {"protocol": Protocol(**content["protocol"])}))
