"""The terms on the pages, explained."""

import streamlit as st

TERMS = {
    "arm": "one way to run a model: a runtime, a device, a file and a precision, such as `coreml/cpu_and_ne:fp16`.",
    "speed-up": "the reference's time over the arm's, paired: both took turns in the same blocks. Above 1 is faster.",
    "verdict": "`faster` and `slower` only where the whole 95 % interval is outside the noise; `not on NE` where the "
    "Neural Engine was not seen to do the largest share.",
    "noise": "how far the reference differs from itself, measured by running it twice in every block.",
    "placement": "which device does how much of the work, and who says so. Unavailable is not zero.",
    "parity": "the arm's answers against the trained module's, within the tolerance of its format.",
    "steady": "processes whose second half took as long as their first, within 10 %.",
    "kept up": "whether the arm answered random arrivals as fast as they came.",
    "champion": "the version that `@champion` names: the one to use. A challenger passed every gate but the one "
    "against the champion.",
    "gate": "what a version must pass to be champion: quality, parity, size, training on all of its data, "
    "and not being worse than the champion; `–` is a gate that had nothing to compare, or none to pass.",
    "band": "what a figure's own past lets expect: the median of up to 30 earlier values and three scaled median "
    "absolute deviations on each side.",
    "eligible": "whether the version passed every gate.",
    "NE": "the Neural Engine of Apple's chips.",
    "front": "what no feasible point beats: as good in quality, time and size, and better in one.",
}


def explain(*terms: str) -> None:
    with st.expander("What the terms mean", icon=":material/help:"):
        st.markdown("\n".join(f"- **{term}**: {TERMS[term]}" for term in terms))
