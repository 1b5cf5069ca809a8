"""The words of members understood: a labelled set, and another to choose thresholds on."""
