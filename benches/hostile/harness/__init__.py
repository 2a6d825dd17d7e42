"""Shared code of the attacks: servers to attack (`servers`), a client that can break rules (`wire`), and an honest one (`quiet`)."""
