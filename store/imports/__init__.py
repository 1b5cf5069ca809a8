"""CSV importers: what a brand's own systems hand over (docs/import.md). One module per kind."""
