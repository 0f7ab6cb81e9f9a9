"""`python -m sockserve`: the same as the command `sockserve`."""

from __future__ import annotations

import sys

from sockserve.commands.main import main

sys.exit(main())
