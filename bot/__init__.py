"""The voice: WeChat and WeCom protocol in and out, handlers, channels, delivery (design.md §9, §10)."""
