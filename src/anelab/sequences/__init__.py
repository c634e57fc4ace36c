"""Files of sequences, of any compression: streams of bytes, FASTQ, FASTA, quality offsets. It knows no workload."""
