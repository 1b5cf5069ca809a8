"""A stand-in for the servers of WeChat and WeCom, demo data and the demo itself. Never imported by the product."""
