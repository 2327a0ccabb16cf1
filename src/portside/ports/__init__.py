"""What a port is: numbers and ranges, port specs, service names, address scopes.  Pure."""
