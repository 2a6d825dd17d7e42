"""What every attack needs: servers to attack (`servers`), a client that breaks rules on purpose (`wire`), one that does not (`quiet`)."""
