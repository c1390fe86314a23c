"""RabbitMQ when this machine has one; an empty vhost for each run."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.rabbit_node import RabbitNode


class Rabbit:
    """`version` is "" and `missing` says why when there is none."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._node: RabbitNode | None = None
        self.version = ""
        self.missing = "RabbitMQ was not started"

    def start(self) -> None:
        try:
            self._node = RabbitNode()
        except (pytest.skip.Exception, pytest.fail.Exception):
            self.missing = "RabbitMQ is not installed: apt install rabbitmq-server"
            return
        self._runner.run(self._node.start())
        self.version = self._runner.run(self._node.ctl("version")).strip()
        self.missing = ""

    def url(self) -> str:
        assert self._node is not None
        return self._node.vhost_url(self._runner.run(self._node.fresh_vhost()))

    def close(self) -> None:
        if self._node is not None:
            self._runner.run(self._node.close())
        self._runner.close()
