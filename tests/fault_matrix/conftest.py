"""A certificate authority the relay trusts."""

from __future__ import annotations

import pytest
import trustme

from tests.support.smtp_relays import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, str(file))
