"""`emailhub dkim`: the record to publish, ready to paste."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.adapters.dkim import DkimKey, load, record
from emailhub.cli.main import cli


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    private = rsa.generate_private_key(65537, 2048)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_the_value_of_the_record_is_printed(key: Path) -> None:
    answer = CliRunner().invoke(cli, ["dkim", "example.com", "s1", str(key)])
    assert answer.exit_code == 0
    assert answer.output.strip() == record(load(DkimKey("example.com", "s1", key.read_text())))
    assert answer.output.startswith("v=DKIM1; k=rsa; p=")


def test_for_a_zone_file_it_is_cut_into_strings_a_name_server_takes(key: Path) -> None:
    answer = CliRunner().invoke(cli, ["dkim", "example.com", "s1", str(key), "--zone"])
    assert answer.output.startswith('s1._domainkey.example.com. TXT ( "v=DKIM1; k=rsa; p=')
    strings = re.findall(r'"([^"]*)"', answer.output)
    assert all(len(one) <= 255 for one in strings)
    assert "".join(strings) == record(load(DkimKey("example.com", "s1", key.read_text())))


@pytest.mark.parametrize("content", (b"hello", b"\xff\xfe"))
def test_a_file_that_holds_no_key_is_named_with_the_way_to_make_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pem").write_bytes(content)
    answer = CliRunner().invoke(cli, ["dkim", "example.com", "s1", str(tmp_path / "bad.pem")])
    assert answer.exit_code == 1
    assert "bad.pem" in answer.output
    assert "openssl genrsa" in answer.output
