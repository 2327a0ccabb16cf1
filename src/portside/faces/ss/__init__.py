"""ss: socket statistics, as iproute2 6.1 prints them."""
