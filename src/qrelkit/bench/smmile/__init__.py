"""SMMILE (arXiv 2506.21355): does a multimodal model learn from its examples? And any benchmark of that form in a folder.

problems   ordered triplets of question, image, answer; the last one is the query
answers    what a model said, one row per problem, mode and form, with what became of it
"""
