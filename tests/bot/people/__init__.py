"""Guides and customers kept in step with the sandbox's WeCom, over real sockets."""
