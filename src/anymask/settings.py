"""Deployment settings, read from `ANYMASK_...` environment variables and nowhere else.

Slow to import (pydantic): imported inside the functions that need a setting.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from anymask.errors import BadOption

PREFIX = "ANYMASK_"
Folder = Annotated[Path, AfterValidator(Path.expanduser)]


class Settings(BaseSettings):
    """Every setting has an environment variable of its name in capitals, prefixed with ANYMASK_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, validate_default=True)

    max_pixels: int = Field(default=200_000_000, gt=0, description="Larger images are refused unread.")
    cache_dir: Folder = Field(default=Path("~/.cache/anymask"), description="Folder of downloaded models.")
    threads: int = Field(default=0, ge=0, description="Threads of the network; 0 means all cores.")
    offline: bool = Field(default=False, description="Never use the internet.")
    backend: str = Field(default="auto", description="auto, onnx, openvino, torch or disk.")
    sso_issuer: str = Field(default="", description="https://... of an OpenID provider, for `studio --team`.")
    sso_client_id: str = Field(default="", description="What the provider calls the studio.")
    sso_client_secret: str = Field(default="", repr=False, description="What it proves that with.")


def unknown_settings() -> list[str]:
    """Variables of the environment that are called like settings and are none."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {f"{PREFIX}DEBUG"}
    return sorted(
        name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
    )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Raises BadOption that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + str(first["loc"][0]).upper()
        raise BadOption(f"{variable}={first['input']}: {first['msg']}") from None
