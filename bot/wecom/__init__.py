"""The WeCom protocol, in and out."""
