"""What browsers, scrapers and load balancers ask over HTTP.

No rule and no store is here: what is shown comes in as callables. May import what is below it in architecture.md.
"""
