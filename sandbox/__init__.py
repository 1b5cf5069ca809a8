"""A stand-in for WeChat and WeCom, demo data and the demo. Never imported by the product."""
