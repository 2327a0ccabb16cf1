"""Which part of the kernel has a port, told from links and from the files of the NFS server."""

from __future__ import annotations

import errno

import pytest

from portside.system.host import Host
from portside.system.kernel_owners import KernelOwners
from portside.testing import fakekernel
from portside.testing.fakekernel import FakeKernel
from portside.wire import netlink, rtnetlink

PORT_ATTRIBUTES = {"vxlan": 15, "geneve": 5, "bareudp": 1}  # include/uapi/linux/if_link.h


def link(index: int, name: str, kind: str = "", number: int = 0) -> bytes:
    body = rtnetlink.IFINFOMSG.write(ifi_index=index) + netlink.attribute(3, name.encode() + b"\0")
    if kind:
        info = netlink.attribute(1, kind.encode() + b"\0")
        if number:
            data = netlink.attribute(1, bytes(4)) if kind != "bareudp" else b""
            data += netlink.attribute(PORT_ATTRIBUTES[kind], number.to_bytes(2, "big"))
            info += netlink.attribute(2 | netlink.NLA_F_NESTED, data)
        body += netlink.attribute(18 | netlink.NLA_F_NESTED, info)
    return netlink.message(rtnetlink.RTM_NEWLINK, netlink.NLM_F_MULTI, body)


def owners(root, *links: bytes, files=()) -> KernelOwners:
    for name, text in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    kernel = FakeKernel(replies=lambda request: [b"".join(links), fakekernel.done(1)])
    return KernelOwners(Host(root=str(root), netlink=kernel.open, bpf=False))


@pytest.mark.parametrize("kind", PORT_ATTRIBUTES)
def test_tunnels(tmp_path, kind):
    found = owners(tmp_path, link(1, "lo"), link(2, "tun0", kind, 6081), link(3, "tun1", kind))
    assert found.find("udp", 6081) == (f"{kind} tun0", True)
    assert found.find("udp", 6082) == ("", False)
    assert found.find("tcp", 6081) == ("", False)


def test_wireguard_takes_what_no_tunnel_claims(tmp_path):
    found = owners(
        tmp_path, link(1, "vx", "vxlan", 4789), link(2, "wg0", "wireguard"), link(3, "wg1", "wireguard")
    )
    assert found.find("udp", 51820) == ("wireguard wg0,wg1?", False)
    assert found.find("udp", 4789) == ("vxlan vx", True)
    assert found.find("tcp", 51820) == ("", False)


def test_nfs_and_lockd(tmp_path):
    files = [
        ("proc/fs/nfsd/portlist", "rdma 20049\ntcp 2049\nudp 2049\nodd line\n"),
        ("proc/sys/fs/nfs/nlm_tcpport", "0\n"),
    ]
    found = owners(tmp_path, link(1, "lo"), files=files)
    assert found.find("tcp", 2049) == found.find("udp", 2049) == ("nfsd", True)
    assert found.find("tcp", 40000) == found.find("udp", 40000) == ("lockd?", False)


@pytest.mark.parametrize("reply", [fakekernel.error(1, errno.EPERM), b"", bytes(20), link(1, "x")[:-1]])
def test_links_that_cannot_be_read_are_none(tmp_path, reply):
    kernel = FakeKernel(replies=lambda request: [reply])
    assert KernelOwners(Host(root=str(tmp_path), netlink=kernel.open)).find("udp", 1) == ("", False)
    assert KernelOwners(Host(root=str(tmp_path), netlink=None)).find("udp", 1) == ("", False)
