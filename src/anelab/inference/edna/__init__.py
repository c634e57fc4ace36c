"""What is done with a model of marker genes: embeddings, an index of references, and the taxa of queries."""
