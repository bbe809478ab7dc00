"""The command `sdebnn`."""
