"""The voice: WeChat and WeCom in and out, handlers, channels, delivery (design.md §9, §10)."""
