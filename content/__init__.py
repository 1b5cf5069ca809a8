"""The words: templates, phrases, pieces, drafts and product picks (design.md §12)."""
