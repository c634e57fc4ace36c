"""DNA of marker genes to embeddings: near where the species are related."""
