"""Many connections, one crowd after the other; CONNECTIONS in the environment says how many."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from tests.support import connections

COUNT = os.environ.get("CONNECTIONS", "800")


class ConnectionsTests(SynchronousTestCase):
    def test_they_leave_no_descriptors_and_no_memory(self) -> None:
        output = io.StringIO()
        with redirect_stdout(output):
            status = connections.main([COUNT, "--of", "sockserve"])
        self.assertEqual(status, 0, output.getvalue())
