"""Why an address cannot be bound (EADDRNOTAVAIL): no interface has it, or it is not yet, or no more, to be used."""

from __future__ import annotations

from portside.errors import BadRequest, PortsideError
from portside.ports.address import parse_address
from portside.see.why.steps import all_as_root, as_root
from portside.system import sysctl
from portside.system.host import LIVE

_NOT_YET, _DOUBLE = 0x40, 0x08  # IFA_F_TENTATIVE, IFA_F_DADFAILED, include/uapi/linux/if_addr.h


def not_available(text: str) -> tuple[str, str]:
    """Return (evidence, the command that mends it) for an address that bind(2) answered with EADDRNOTAVAIL."""
    from portside.system.interfaces import read_addresses, read_interfaces

    said = "cannot assign requested address (EADDRNOTAVAIL)"
    address = text.partition("%")[0]
    try:
        raw = parse_address(address)
        names = {one.index: one.name for one in read_interfaces(LIVE)}
        having = [one for one in read_addresses(LIVE) if one.address == raw]
    except (BadRequest, PortsideError):
        return said, ""
    bits = len(raw) * 8
    for one in having:
        name, place = names.get(one.index, "?"), f"{address}/{one.prefix}"
        if one.flags & (_NOT_YET | _DOUBLE):
            state = (
                "somebody else on the link has it too" if one.flags & _DOUBLE else "it is still being checked"
            )
            again = f"ip address del {place} dev {name} && ip address add {place} dev {name} nodad"
            return f"{said}: {name} has it, and {state} (duplicate address detection)", all_as_root(again)
    if bits == 128 and sysctl.read(LIVE, "net.ipv6.conf.all.disable_ipv6") == "1":
        return f"{said}: IPv6 is switched off here", as_root("sysctl -w net.ipv6.conf.all.disable_ipv6=0")
    return f"{said}: no interface of this network namespace has it", as_root(
        f"ip address add {address}/{bits} dev lo"
    )
