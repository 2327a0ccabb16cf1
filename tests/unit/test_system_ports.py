"""What `system` reads for names and numbers of ports: /etc/services and three sysctls."""

from __future__ import annotations

from portside.ports.number import HostRanges, Range
from portside.system.port_ranges import read_host_ranges
from portside.system.services import read_services


def test_services_keep_odd_bytes(tmp_path):
    file = tmp_path / "services"
    file.write_bytes(b"odd\xff 7777/tcp\n")
    assert read_services(str(file)) == "odd\udcff 7777/tcp\n"


def test_no_services_is_an_empty_text(tmp_path):
    assert read_services(str(tmp_path / "none")) == ""
    assert read_services(str(tmp_path)) == ""


def test_host_ranges_of_a_tree(tmp_path):
    directory = tmp_path / "proc/sys/net/ipv4"
    directory.mkdir(parents=True)
    (directory / "ip_local_port_range").write_text("40000\t50000\n")
    (directory / "ip_local_reserved_ports").write_text("45000\n")
    assert read_host_ranges(str(tmp_path)) == HostRanges(Range(40000, 50000), 1024, (Range(45000, 45000),))


def test_host_ranges_of_nowhere_are_the_kernels_defaults(tmp_path):
    assert read_host_ranges(str(tmp_path)) == HostRanges()
