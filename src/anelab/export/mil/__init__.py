"""An evaluator of Core ML programs for any host: one small torch function per MIL operator."""
