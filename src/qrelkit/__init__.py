"""qrelkit: which retrieval system is better, and how sure may we be."""
