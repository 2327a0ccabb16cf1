"""Shipped for users and for our own tests: a fake kernel, a fake /proc, throw-away namespaces."""

from __future__ import annotations

from portside.testing.fakekernel import FakeKernel as FakeKernel
from portside.testing.fakekernel import FakeSocket as FakeSocket
from portside.testing.fakekernel import FakeUnix as FakeUnix
from portside.testing.fakeproc import FakeProc as FakeProc
from portside.testing.namespaces import Namespace as Namespace
