"""Which addresses a stranger may have the hub connect to."""

from __future__ import annotations

import pytest

from emailhub.core.public import is_public


@pytest.mark.parametrize(
    "address",
    (
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2001:0:53aa:64c:0:fbff:f5ff:fffe",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "",
    ),
)
def test_what_is_not_everybody_s_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ("8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700::6810:84e5"))
def test_what_is_everybody_s_is_not(address: str) -> None:
    assert is_public(address)
