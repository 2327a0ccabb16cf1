"""Every struct and constant that `wire` declares, held against the running kernel's own types (BTF).

Nothing is left out silently: a constant is in the kernel's BTF as an enumerator, or it is listed here with the reason
why it cannot be.
"""

from __future__ import annotations

from functools import cache

import pytest
from tests.kernel_types import kernel_btf

from portside.errors import NotSupported
from portside.see.sockets import SOCKET_TYPES
from portside.wire import (
    bytecode,
    inet_diag,
    interfaces,
    netlink,
    netlink_diag,
    packet_diag,
    procnet,
    routes,
    rtnetlink,
    sctp_info,
    sock_diag,
    tcp_info,
    tcp_states,
    tipc_diag,
    ulp_info,
    unix_diag,
    vsock_diag,
    xdp_diag,
)
from portside.wire.layout import Layout

MODULES = (
    netlink, sock_diag, inet_diag, unix_diag, packet_diag, netlink_diag, rtnetlink, interfaces, routes,
    tcp_states, bytecode, tcp_info, ulp_info, sctp_info, vsock_diag, xdp_diag, tipc_diag,
)  # fmt: skip

# Macros have no place in BTF: these are held by the golden replies, which hold them in bytes.
MACROS = {
    "NLMSG_NOOP", "NLMSG_ERROR", "NLMSG_DONE", "NLMSG_OVERRUN", "NLM_F_REQUEST", "NLM_F_MULTI", "NLM_F_ACK",
    "NLM_F_DUMP_INTR", "NLM_F_DUMP_FILTERED", "NLM_F_DUMP", "NLM_F_CREATE", "NLM_F_CAPPED", "NLM_F_ACK_TLVS",
    "NLA_F_NESTED",
    "NLA_F_NET_BYTEORDER", "NLA_TYPE_MASK", "SOCK_DIAG_BY_FAMILY", "SOCK_DESTROY", "TCPDIAG_GETSOCK", "AF_UNSPEC",
    "AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_TIPC", "AF_VSOCK",
    "AF_XDP", "IFA_F_OPTIMISTIC", "IFA_F_TENTATIVE", "NDIAG_PROTO_ALL", "UDIAG_SHOW_NAME",
    "UDIAG_SHOW_VFS", "UDIAG_SHOW_PEER", "UDIAG_SHOW_ICONS", "UDIAG_SHOW_RQLEN", "UDIAG_SHOW_MEMINFO",
    "UDIAG_SHOW_UID", "PACKET_SHOW_INFO", "PACKET_SHOW_MCLIST", "PACKET_SHOW_RING_CFG", "PACKET_SHOW_FANOUT",
    "PACKET_SHOW_MEMINFO", "PACKET_SHOW_FILTER", "NDIAG_SHOW_MEMINFO", "NDIAG_SHOW_GROUPS", "NDIAG_SHOW_FLAGS",
    "EINVAL", "EPERM", "RTM_F_CLONED", "RTPROT_REDIRECT", "RTPROT_KERNEL", "RTPROT_BOOT", "RTPROT_STATIC",
    "TCPI_OPT_TIMESTAMPS", "TCPI_OPT_SACK", "TCPI_OPT_WSCALE", "TCPI_OPT_ECN", "TCPI_OPT_ECN_SEEN",
    "TCPI_OPT_SYN_DATA", "MPTCP_INFO_FLAG_FALLBACK", "MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED", "TLS_1_2_VERSION",
    "TLS_1_3_VERSION", "TLS_CIPHER_AES_GCM_128", "TLS_CIPHER_AES_GCM_256", "TLS_CONF_BASE", "TLS_CONF_SW",
    "TLS_CONF_HW", "TLS_CONF_HW_RECORD", "XDP_DU_F_ZEROCOPY", "XDP_SHOW_INFO", "XDP_SHOW_RING_CFG",
    "XDP_SHOW_UMEM", "XDP_SHOW_MEMINFO", "XDP_SHOW_STATS",
}  # fmt: skip
# No kernel constants, but sums and limits of our own.
OURS = {
    "FAMILY_AT",
    "TYPE_CHECKING",
    "ALL",
    "SHOW",
    "SHOW_EVERYTHING",
    "INODE_WORD",
    "ANY",
    "ANY_PORT",
    "LONGEST",
}
# Enumerators that a supported kernel (5.10) may lack.
NEWER = {"TCP_BOUND_INACTIVE"}
# Enumerators of drivers that may be left out of a kernel or be a module, whose types are in another blob.
OF_DRIVERS = {"IFLA_VXLAN_PORT", "IFLA_GENEVE_PORT", "IFLA_BAREUDP_PORT", "TIPC_NLA_SOCK"}
# Structs that the kernel appends fields to: ours is the beginning of its, or it of ours.
GROWING = {"tcp_info", "mptcp_info", "sctp_info"}
# The same: structs of such, and their sizes in the header.
SIZES = {
    "vsock_diag_req": 24, "vsock_diag_msg": 32, "xdp_diag_req": 20, "xdp_diag_msg": 16, "xdp_diag_info": 8,
    "xdp_diag_umem": 40, "xdp_diag_stats": 48, "tipc_sock_diag_req": 8, "sctp_info": 368,
}  # fmt: skip

LAYOUTS = {
    layout.name: layout
    for module in MODULES
    for layout in vars(module).values()
    if isinstance(layout, Layout)
}


def constants() -> dict[str, int]:
    """Every number that the modules of `wire` name in capitals, by its kernel name."""
    return {
        ("TCP_" if module is tcp_states else "") + name: value
        for module in MODULES
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int) and name[0] != "_" and name not in OURS
    }


@cache
def enumerator(name: str) -> int | None:
    try:
        return kernel_btf().enum_value(name)
    except NotSupported:
        return None


def known(struct: str, member: str = "") -> bool:
    """Whether this kernel has the struct, and the member in it."""
    try:
        return (
            kernel_btf().member_offset(struct, member) >= 0
            if member
            else kernel_btf().struct_size(struct) > 0
        )
    except NotSupported:
        return False


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_the_kernel_s_struct(name):
    btf, layout = kernel_btf(), LAYOUTS[name]
    if name in SIZES and not known(name):
        assert layout.size == SIZES[name]
        return
    fields = layout.fields
    if name in GROWING:
        fields = [field for field in fields if known(name, field)]
        assert fields == list(layout.fields[: len(fields)])
        assert layout.size <= btf.struct_size(name) or len(fields) < len(layout.fields)
    else:
        assert layout.size == btf.struct_size(name)
    for field in fields:
        kernels = {"type": "nla_type", "len": "nla_len"}.get(field, field) if name == "nlattr" else field
        kernels = f"nlmsg_{field}" if name == "nlmsghdr" else kernels
        assert layout.offset(field) == btf.member_offset(name, kernels), f"{name}.{field}"


def test_the_row_of_a_bulk_answer_is_header_and_message():
    """`inet_diag.ROW` and the words of `column` are these structs written once more."""
    btf = kernel_btf()
    fixed = netlink.HEADER.size + inet_diag.MESSAGE.size
    assert inet_diag.struct.calcsize(inet_diag.ROW) == fixed
    inode = netlink.HEADER.size + btf.member_offset("inet_diag_msg", "idiag_inode")
    cookie = netlink.HEADER.size + btf.member_offset("inet_diag_msg", "id.idiag_cookie")
    assert netlink.HEADER.size + btf.member_offset("inet_diag_msg", "idiag_family") == inet_diag.FAMILY_AT
    assert (inode // 4, (cookie // 4, cookie // 4 + 1)) == (inet_diag.INODE_WORD, inet_diag.COOKIE_WORDS)


def test_constants_are_the_kernel_s():
    wrong = {}
    for name, value in constants().items():
        told = enumerator(name)
        if name in MACROS or (told is None and name in NEWER | OF_DRIVERS):
            continue
        if told != value:
            wrong[name] = (value, told)
    assert not wrong, f"ours, the kernel's: {wrong}"


def test_what_is_listed_as_a_macro_is_one_and_is_used():
    namesake = {"SOCK_DESTROY"}  # of enum sock_flags
    assert {name for name in MACROS if enumerator(name) is not None} <= namesake
    assert set(constants()) >= MACROS


def test_every_state_has_its_number():
    assert enumerator("TCP_MAX_STATES") is None or (1 << enumerator("TCP_MAX_STATES")) - 1 <= tcp_states.ALL
    for number, name in enumerate(tcp_states.NAMES):
        kernels = "TCP_" + name.upper().replace("-", "_").replace("FIN_WAIT_", "FIN_WAIT")
        if name and number != tcp_states.NEW_SYN_RECV and kernels not in NEWER:
            assert enumerator(kernels) == number


@pytest.mark.parametrize(
    ("prefix", "table", "aliases"),
    [
        ("INET_DIAG_", inet_diag.ATTRIBUTES, {"v6only": "skv6only"}),
        ("UNIX_DIAG_", unix_diag.ATTRIBUTES, {}),
        ("PACKET_DIAG_", packet_diag.ATTRIBUTES, {}),
        ("NETLINK_DIAG_", netlink_diag.ATTRIBUTES, {}),
        ("INET_ULP_INFO_", ulp_info.ULP_ATTRIBUTES, {}),
        ("MPTCP_SUBFLOW_ATTR_", ulp_info.SUBFLOW_ATTRIBUTES, {}),
        ("SOCK_", {number: (name, None) for number, name in SOCKET_TYPES.items()}, {}),
    ],
)  # fmt: skip
def test_a_table_gives_each_number_its_name(prefix, table, aliases):
    ours = {number: prefix + aliases.get(name, name).upper() for number, (name, _) in table.items()}
    assert {number: enumerator(name) for number, name in ours.items()} == {number: number for number in ours}


def test_tunnels_tell_their_port_in_that_attribute():
    for kind, number in rtnetlink.TUNNEL_PORTS.items():
        name = f"IFLA_{kind.upper()}_PORT"
        assert name in OF_DRIVERS
        assert enumerator(name) in (number, None)


def test_states_of_unix_sockets_in_text():
    """enum socket_state: what /proc/net/unix shows, and what of it counts as established."""
    names = ("SS_CONNECTING", "SS_CONNECTED")
    assert set(procnet._SS_CONNECTED) == {enumerator(name) for name in names}
