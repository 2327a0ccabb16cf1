"""Using ports: relays, netcat, small servers, transfer, forwarding, and installing a service on a port."""
