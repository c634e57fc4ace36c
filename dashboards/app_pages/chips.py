"""What others measured, by chip, model and batch. Nothing on this page was measured here."""

import components
import glossary
import loading
import streamlit as st

from anelab.views import chips

EVERY = "all models"
st.caption(
    ":material/public: Published by others, on their machines; nobody here has checked it, and none of it is compared "
    "with your own results. `anelab bench published add FILE` adds more."
)
records = loading.published()
sizes = loading.model_sizes()
with st.container(horizontal=True, vertical_alignment="bottom"):
    like = components.pick("Models like", [EVERY, *sizes], "like")
    families = components.pick_some("Family", sorted({one.family for one in records}), "family")
    machines = components.pick_some("Chip", sorted({one.chip for one in records}), "chip")
chosen = [
    one
    for one in (records if like == EVERY else chips.of_size(records, sizes[like]))
    if (not families or one.family in families) and (not machines or one.chip in machines)
]
if like != EVERY:
    st.caption(
        f"Models whose multiply-adds are known, and within {chips.LIKE} times of {like}: {len(chosen)} of "
        f"{len(records)} figures."
    )
if not chosen:
    st.info("No published figure is of such a model on such a chip. Choose less.", title="Nothing published")
    st.stop()
for text in chips.summary(chosen):
    st.markdown(f"**{components.escaped(text)}**")

st.subheader("Rates by chip")
compared = chips.settings(chosen)
models = sorted({devices[next(iter(devices))].model for devices in compared.values()}) or sorted(
    {o.model for o in chosen}
)
start = models.index("resnet50") if "resnet50" in models else 0
model = components.pick("Model", [*models[start:], *models[:start]], "model")
of_model = [one for one in chosen if one.model == model and one.rate is not None and one.kind != "soak"]
if of_model:
    components.chart(chips.rate_chart(chips.figures(of_model)), f"Published rates of {model} by chip and device")
    for text in chips.ranking(of_model):
        st.markdown(components.escaped(text))
    st.caption(
        "Lines are 95 % intervals by Student's t where repeats were published; these share a process and a thermal "
        "state. Without a line, one number was published."
    )

st.subheader("Figures")
components.table(chips.figures(chosen), "published", "Figures published by others")
if len(placed := chips.placements(chosen)):
    st.subheader("Placement")
    components.table(placed, "published_placements", "Shares by device, as published")
if len(used := chips.energy(chosen)):
    st.subheader("Energy")
    components.table(used, "published_energy", "Power and energy, as published")
if len(windows := chips.sustained(chosen)):
    st.subheader("Sustained load")
    components.chart(chips.sustained_chart(windows), "Rates in successive windows, of the first")
glossary.explain("NE", "placement")
