"""The one package that touches the machine: sockets, bpf(2), /proc, cgroups, namespaces, other programs."""
