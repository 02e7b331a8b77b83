"""The demo catalogue: 480 fashion products that do not exist, drawn and described from a seed; 40 queries and their truth.

Part of what a shopper wants to know is only in the pictures, part of the texts misleads, and a few pictures are broken.

    write_demo(folder)    the catalogue as an ordinary folder
    products(seed)        the products with their true attributes
    needs(seed)           the queries with their requirements, and the rule of the constructed qrels
"""

from __future__ import annotations

from qrelkit.sources.demo.catalogue import Product, products
from qrelkit.sources.demo.queries import Need, needs
from qrelkit.sources.demo.write import write_demo

__all__ = ["Need", "Product", "needs", "products", "write_demo"]
