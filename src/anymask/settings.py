"""Deployment settings, read from `ANYMASK_...` environment variables and nowhere else."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting has an environment variable of its name in capitals, prefixed with ANYMASK_."""

    model_config = SettingsConfigDict(env_prefix="ANYMASK_", frozen=True)

    max_pixels: Annotated[int, Field(gt=0, description="Pictures with more pixels are refused unread.")] = 200_000_000
    cache_dir: Annotated[Path, Field(description="Where downloaded models are kept.")] = Path("~/.cache/anymask")
    threads: Annotated[int, Field(ge=0, description="Threads of the network; 0 means all cores.")] = 0
    offline: Annotated[bool, Field(description="Never use the network.")] = False
    backend: Annotated[str, Field(description="auto, onnx, openvino, torch or disk.")] = "auto"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()
