"""`anymask studio` as a process of its own, for tests that kill it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx

API = "/api/v1"


class StudioProcess:
    """Started on a folder; `client` has the token of its link."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "anymask", "studio", str(folder), "--no-browser"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=environment,
        )  # fmt: skip
        self.said: list[str] = []
        self.link = self._link()
        self.url, self.port = self.link.rpartition("/")[0], int(re.findall(r":(\d+)/", self.link)[0])
        token = self.link.partition("token=")[2]
        self.client = httpx.Client(
            base_url=self.url + API, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def _link(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"http://\S+", line)
            if found:
                return found.group()
        self.process.stdout.close()
        self.process.wait()
        raise AssertionError("".join(self.said))

    def wait_until_ready(self) -> None:
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("not ready in half a minute")

    def kill(self) -> None:
        """As a power cut does it to a process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()

    def open(self, image_id: int) -> dict[str, Any]:
        return self.client.post(f"/images/{image_id}/open", json={}).json()

    def save(self, work: dict[str, Any], base: int, key: str, operation: dict[str, Any]) -> Any:
        held = {"task": work["lease"]["task"], "token": work["lease"]["token"]}
        return self.client.post(
            f"/images/{work['image']['id']}/actions",
            json={"lease": held, "operations": [operation]},
            headers={"Idempotency-Key": key, "If-Match": f'"{base}"'},
        )

    def __enter__(self) -> StudioProcess:
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
