"""nmap's readers load what we write in its form: its DTD by xmllint, python-libnmap, and ndiff's way of comparing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.live import probe_world as world_of
from tests.support import require

DTD = Path(__file__).resolve().parents[1] / "data" / "nmap.dtd"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


def scan(world, *words, **options):
    argv = [sys.executable, "-m", "portside", "scan", *words, "--method", "connect"]
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=world.scanner.enter,
        env=ENVIRONMENT,
        **options,
    )


@pytest.fixture(scope="module")
def document(probe_world):
    done = scan(
        probe_world, world_of.TARGET, world_of.TARGET6, world_of.UNROUTED, "-p", "1-220,300,8000", "--xml"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dtd_accepts_it(document, tmp_path):
    require(shutil.which("xmllint"), "xmllint is not installed")
    file = tmp_path / "scan.xml"
    file.write_text(document)
    done = subprocess.run(
        ["xmllint", "--noout", "--dtdvalid", str(DTD), str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_libnmap_reads_it(document):
    from libnmap.parser import NmapParser

    report = NmapParser.parse_fromstring(document)
    hosts = {host.address: host for host in report.hosts}
    assert set(hosts) == {world_of.TARGET, world_of.TARGET6, world_of.UNROUTED}
    target = hosts[world_of.TARGET]
    assert target.get_open_ports() == [(22, "tcp"), (80, "tcp"), (8000, "tcp")]
    assert target.get_service(104).reason == "port-unreach"
    assert (target.get_service(22).service, target.get_service(22).state) == ("ssh", "open")
    assert report.hosts_up == 3
    assert report.numservices == 222


def test_same_reader_says_the_same_of_nmap(document, probe_world):
    """Both documents, by one reader: the open ports of the target are the same."""
    require(shutil.which("nmap"), "nmap is not installed")
    from libnmap.parser import NmapParser

    argv = ["nmap", "-sT", "-n", "-Pn", "-p", "1-220,300,8000", "-oX", "-", world_of.TARGET]
    theirs = NmapParser.parse_fromstring(probe_world.scanner.run(argv, timeout=60).stdout)
    ours = NmapParser.parse_fromstring(document)
    target = next(host for host in ours.hosts if host.address == world_of.TARGET)
    assert theirs.hosts[0].get_open_ports() == target.get_open_ports()


def test_files_beside_the_table(probe_world, tmp_path):
    done = scan(
        probe_world, world_of.TARGET, "-p", "22,1", "-oX", str(tmp_path / "x"), "-oG", str(tmp_path / "g")
    )
    assert "22/tcp" in done.stdout
    assert (tmp_path / "x").read_text().startswith("<?xml")
    assert "22/open/tcp" in (tmp_path / "g").read_text()


@pytest.mark.parametrize("option", ["-oX", "-oG", "--checkpoint"])
def test_a_file_that_cannot_be_written_is_told_before_the_scan(probe_world, tmp_path, option):
    done = scan(probe_world, world_of.TARGET, "-p", "22", option, str(tmp_path / "none" / "x"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert "probed" not in done.stderr


def test_interrupt_tells_what_is_known_and_how_to_go_on(probe_world, tmp_path):
    argv = [sys.executable, "-m", "portside", "scan", world_of.TARGET, "-p", "1-9999", "--rate", "2000"]
    argv += ["--method", "connect", "--all", "--json"]
    environment = ENVIRONMENT | {"XDG_STATE_HOME": str(tmp_path)}
    lines = tmp_path / "lines"
    with lines.open("w") as out:
        run = subprocess.Popen(
            argv, stdout=out, stderr=subprocess.PIPE, text=True, preexec_fn=probe_world.scanner.enter, env=environment
        )  # fmt: skip
    deadline = time.monotonic() + 20
    while not lines.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "Traceback" not in said
    (point,) = (tmp_path / "portside").iterdir()
    assert f"go on with: portside scan --resume {point}" in said
    done = subprocess.run(
        [sys.executable, "-m", "portside", "scan", "--resume", str(point), "--all", "--json"],
        capture_output=True, text=True, timeout=60, preexec_fn=probe_world.scanner.enter, env=environment,
    )  # fmt: skip
    items = [json.loads(line) for line in (lines.read_text() + done.stdout).splitlines()]
    told = [item["port"] for item in items if item["kind"] == "scan"]
    assert sorted(told) == list(range(1, 10_000)), "each port once: none is lost, none told twice"
    assert '"complete": true' in done.stdout.splitlines()[-1]
    assert '"decided": 9999' in done.stdout.splitlines()[-1]
    assert not point.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no targets"),
        (["nonsense.invalid"], "the name has no address"),
        (["127.0.0.1", "-p", "99999"], "above 65535"),
        (["127.0.0.1", "-p", "80", "--top", "5"], "both name the ports"),
        (["127.0.0.1", "--shard", "2/3"], "give all the same --seed"),
        (["127.0.0.1", "--shard", "4/3", "--seed", "1"], "not a part of a whole"),
        (["127.0.0.1", "--state", "shut"], "there is no such state"),
        (["127.0.0.1", "--rate", "fast"], "'fast' is not a rate"),
        (["127.0.0.1", "--xml", "--json"], "choose one of them"),
        (["127.0.0.1", "-iL", "/nonexistent"], "no such file"),
        (["--resume", "/nonexistent"], "no such file"),
        (["--resume", "/etc/passwd"], "it is not a checkpoint"),
        (["127.0.0.1", "-S", "192.0.2.77"], "send from '192.0.2.77'"),
        (["127.0.0.1", "-e", "nothere0"], "send from 'nothere0'"),
        (["fe80::1%nothere0", "-p", "1"], "there is no such interface"),
        (["0.0.0.0/0"], "--i-may-scan-this"),
    ],
)
def test_wrong_words(probe_world, words, said):
    done = scan(probe_world, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_pipe_is_quiet(probe_world):
    argv = [
        sys.executable,
        "-m",
        "portside",
        "scan",
        world_of.TARGET,
        "-p",
        "1-3000",
        "--all",
        "--json",
        "-q",
    ]
    run = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=probe_world.scanner.enter,
        env=ENVIRONMENT,
    )  # fmt: skip
    run.stdout.readline()
    run.stdout.close()
    with run.stderr:
        assert run.stderr.read() == ""
    assert run.wait(timeout=30) == 0


def test_targets_from_standard_input_and_files(probe_world, tmp_path):
    out = tmp_path / "out"
    out.write_text("192.0.2.3 # the lossy one\n")
    done = scan(
        probe_world,
        "-",
        "--exclude-file",
        str(out),
        "-p",
        "22",
        "--list",
        "-q",
        input=f"{world_of.TARGET}-3\n# x\n",
    )
    assert done.stdout == f"{world_of.TARGET}:22\n"
