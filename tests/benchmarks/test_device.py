"""`python -m benchmarks.device`: this machine, and OpenSSH's real server on loopback; apt: openssh-server."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from convert.test_remote import until  # noqa: F401
