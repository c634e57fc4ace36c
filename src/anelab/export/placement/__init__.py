"""Where Core ML would run the operators of a package: predicted, from the rule and the rates that others measured."""
