"""Model versions: which one a URI names, their tags, and an alias that moves to one on a pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_sensie.errors import RegistryError
from mlflow_sensie.result.verdict import Promotion

PROMOTION_TAG = "sensie_promotion"
_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    name: str
    version: str

    @property
    def uri(self) -> str:
        """The URI that always names this version."""
        return f"models:/{self.name}/{self.version}"


def version_of(uri: str, client: MlflowClient) -> ModelVersion | None:
    """Return the version that a URI names now, by number or alias; None for what is no model version.

    Raises:
        RegistryError: there is no such alias or version.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    name, version, alias = match["name"], match["version"], match["alias"]
    if alias is None:
        return ModelVersion(name, version)
    version = alias_of(name, alias, client)
    if version is None:
        raise RegistryError(
            f"{uri!r}: no version of {name!r} has the alias {alias!r}. Give the first one by hand: "
            f"mlflow.MlflowClient().set_registered_model_alias({name!r}, {alias!r}, VERSION)"
        )
    return ModelVersion(name, version)


def alias_of(name: str, alias: str, client: MlflowClient) -> str | None:
    """Return the version that an alias names; None where it names none.

    Raises:
        RegistryError: the registry does not answer, or there is no such model.
    """
    try:
        aliases: Mapping[str, str] = client.get_registered_model(name).aliases
    except MlflowException as error:
        raise RegistryError(f"the registry did not tell the aliases of {name!r}: {error}") from error
    return str(aliases[alias]) if alias in aliases else None


def tag_version(version: ModelVersion, tags: Mapping[str, str], client: MlflowClient) -> str | None:
    """Write tags on a model version; return why that failed, if it did."""
    try:
        for key, value in tags.items():
            client.set_model_version_tag(version.name, version.version, key, value)
    except MlflowException as error:
        return f"the tags of {version.uri} could not be written: {error}"
    return None


def move_alias(version: ModelVersion, alias: str, before: str | None, client: MlflowClient) -> Promotion:
    """Move an alias to a version, unless it has moved since ``before`` was read.

    MLflow has no compare-and-set for aliases: it is read right before and after, so that a lost race is seen, but
    one that falls between is not prevented. Promotions of one model must be serialised. What came of it is written
    as a tag of the version.
    """
    promotion = _moved(version, alias, before, client)
    if promotion.outcome in ("already there", "failed"):
        return promotion
    return replace(promotion, warning=tag_version(version, {PROMOTION_TAG: promotion.reason}, client))


def _moved(version: ModelVersion, alias: str, before: str | None, client: MlflowClient) -> Promotion:
    try:
        now = alias_of(version.name, alias, client)
    except RegistryError as error:
        return Promotion(alias, "failed", before, None, f"the alias {alias!r} was not moved: {error}")
    if now != before:
        reason = f"the alias {alias!r} was not moved: meanwhile it went {_from(before, now)}"
        return Promotion(alias, "lost race", before, now, reason)
    if now == version.version:
        return Promotion(alias, "already there", before, now, f"the alias {alias!r} names version {now} already")
    try:
        client.set_registered_model_alias(version.name, alias, version.version)
        after = alias_of(version.name, alias, client)
    except (MlflowException, RegistryError) as error:
        return Promotion(alias, "failed", before, None, f"whether the alias {alias!r} moved is not known: {error}")
    if after != version.version:
        reason = (
            f"the alias {alias!r} moved {_from(before, version.version)}, and at once {_from(version.version, after)}"
        )
        return Promotion(alias, "lost race", before, after, reason)
    return Promotion(alias, "moved", before, after, f"the alias {alias!r} moved {_from(before, after)}")


def _from(before: str | None, after: str | None) -> str:
    old, new = ("no version" if version is None else f"version {version}" for version in (before, after))
    return f"from {old} to {new}"
