"""The WeChat official-account protocol, in and out."""
