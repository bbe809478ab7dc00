"""`python -m sdebnn` is the command `sdebnn`; launchers of several processes start it so."""

import sys

from sdebnn.cli.main import main

sys.exit(main())
